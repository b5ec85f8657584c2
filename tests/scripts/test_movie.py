from pathlib import Path

import pytest
from PIL import Image

from scripts.movie import main
from src.plotting.movie import read_gif, write_gif


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Return the folders of two seeds with movies of two frames."""
    folders = []
    for name, color in (("loss=mse", "red"), ("loss=ce", "blue")):
        folder = tmp_path / name / "seed=0"
        (folder / "figures").mkdir(parents=True)
        frames = {epoch: Image.new("RGB", (300, 100 + epoch), color) for epoch in (0, 1)}
        write_gif(folder / "figures" / "movie.gif", {0: frames[0], 1: frames[0]})
        folders.append(str(folder))
    return folders


def test_the_movies_of_runs_are_joined(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a" / "b"
    assert main([*runs, "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "movie.gif"), str(out / "movie.html")]
    assert {picture.size[0] for picture in read_gif(out / "movie.gif").values()} == {600}
    title = f"{tmp_path.name}/loss=mse/seed=0 | {tmp_path.name}/loss=ce/seed=0"
    assert title in (out / "movie.html").read_text(encoding="utf-8")


def test_a_run_without_a_movie_is_named(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([runs[0], runs[0]]) == 1
    assert "different names" in capsys.readouterr().err
    assert main([runs[0], str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "nowhere" in line
    assert "figures=movie" in line
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    assert main([*runs, "--out", str(tmp_path / "file")]) == 1
    assert "cannot write" in capsys.readouterr().err
