import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from scripts.aggregate import main
from src.artifacts import FAILED, HISTORY, RESULTS
from src.report.style import save
from tests.analysis.studies import write_run, write_study

FILES = {"runs.csv", "summary.csv", "problems.txt"} | {
    f"{name}.{kind}" for name in ("accuracy", "loss_curves", "scatter") for kind in ("png", "svg", "pdf")
}


@pytest.fixture
def svg_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save each figure in one format, which is quicker."""
    monkeypatch.setattr("scripts.aggregate.save", lambda figure, stem: save(figure, stem, ("svg",)))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_study_becomes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path / "hw4", seeds=3)
    assert main([str(study)]) == 0
    report = study / "report"
    assert {path.name for path in report.iterdir()} == FILES
    runs, summary = pd.read_csv(report / "runs.csv"), pd.read_csv(report / "summary.csv")
    assert len(runs) == 12
    assert len(summary) == 4
    means = runs.groupby(["label", "classes"])["test/accuracy"].mean()
    assert list(summary["test/accuracy mean"]) == pytest.approx(list(means))
    assert (report / "problems.txt").read_text() == "none\n"
    with Image.open(report / "accuracy.png") as image:
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    for name in ("accuracy", "loss_curves", "scatter"):
        ET.parse(report / f"{name}.svg")  # noqa: S314 - ours
        pdf = (report / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert b"/Type3" not in pdf
    out, err = capsys.readouterr()
    assert f"12 completed runs, 4 conditions. Report: {report}\n" in out
    assert err == ""


def test_a_second_report_is_the_same_and_reads_no_earlier_report(tmp_path: Path):
    study = write_study(tmp_path, ("ce",), (2,), seeds=2)
    assert main([str(study)]) == 0
    first = {path: path.read_bytes() for path in (study / "report").iterdir()}
    assert main([str(study)]) == 0
    assert {path: path.read_bytes() for path in (study / "report").iterdir()} == first


@pytest.mark.usefixtures("svg_only")
def test_several_studies_report_in_the_first_or_where_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = write_study(tmp_path / "a", ("ce",), (2,)), write_study(tmp_path / "b", ("mse",), (2,))
    assert main([str(first), str(second)]) == 0
    assert f"Report: {first / 'report'} (in the first STUDY)" in capsys.readouterr().out
    assert not (second / "report").exists()
    assert main([str(first), str(second), "--out", str(tmp_path / "x" / "y")]) == 0
    assert set(pd.read_csv(tmp_path / "x" / "y" / "runs.csv")["study"]) == {"a", "b"}


@pytest.mark.usefixtures("svg_only")
def test_metric_chooses_the_table_and_the_median_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed, (test, population) in enumerate([(0.9, 0.5), (0.8, 0.9), (0.7, 0.6)]):
        write_run(tmp_path, seed=seed, metrics={"test/accuracy": test, "population/accuracy": population})
    assert main([str(tmp_path), "--metric", "test/accuracy"]) == 0
    assert "seed 1" in (tmp_path / "report" / "scatter.svg").read_text()
    assert "population/accuracy" not in capsys.readouterr().out
    assert main([str(tmp_path)]) == 0
    assert "seed 2" in (tmp_path / "report" / "scatter.svg").read_text()
    assert "population/accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("svg_only")
def test_damaged_runs_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path, seeds=2)
    failed = write_run(study, "ce", seed=2, status=FAILED, error="the loss is NaN at epoch 3")
    broken = write_run(study, "mse", seed=2)
    (broken / RESULTS).write_text("{")
    (write_run(study, "ce", seed=3) / HISTORY).write_text("")
    assert main([str(study)]) == 0
    text = (study / "report" / "problems.txt").read_text()
    err = capsys.readouterr().err
    for line in (
        "failed (1):",
        f"  {failed}: the loss is NaN at epoch 3",
        "unreadable (1):",
        f"  {broken / RESULTS} cannot be read",
        "missing (3):",
        "left out of a figure (1):",
    ):
        assert line in text
        assert line in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("svg_only")
def test_many_problems_are_cut_on_the_console_but_not_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, seed=0)
    for seed in range(1, 16):
        write_run(tmp_path, seed=seed, files=False, status=FAILED, error="NaN")
    assert main([str(tmp_path)]) == 0
    assert "and 5 more, see problems.txt" in capsys.readouterr().err
    assert (tmp_path / "report" / "problems.txt").read_text().count("NaN") == 15


@pytest.mark.usefixtures("svg_only")
def test_names_cannot_run_as_formulas_or_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, "=cmd|'/c calc'!A1", condition="a")
    write_run(tmp_path, "<script>[bold]$x$_&", condition="b")
    assert main([str(tmp_path)]) == 0
    assert "[bold]" in capsys.readouterr().out
    cells = pd.read_csv(tmp_path / "report" / "runs.csv")
    assert list(cells["label"]) == ["<script>[bold]$x$_&", "'=cmd|'/c calc'!A1"]
    for name in ("accuracy", "loss_curves", "scatter"):
        svg = (tmp_path / "report" / f"{name}.svg").read_text()
        ET.fromstring(svg)  # noqa: S314 - ours
        assert "<script" not in svg


@pytest.mark.usefixtures("svg_only")
def test_one_seed_without_a_known_law(tmp_path: Path):
    write_run(tmp_path, metrics={"test/accuracy": 0.5})
    assert main([str(tmp_path)]) == 0
    summary = pd.read_csv(tmp_path / "report" / "summary.csv")
    assert summary["test/accuracy mean"][0] == 0.5
    assert summary["test/accuracy low"].isna().all()


def test_a_figure_that_cannot_be_drawn_leaves_no_old_one(tmp_path: Path):
    folder = write_run(tmp_path)
    assert main([str(tmp_path)]) == 0
    (folder / HISTORY).unlink()
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        name for name in FILES if not name.startswith("loss_curves")
    }


def failing(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail, write nothing and say why in one line; return the line."""
    before = files(folder)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert files(folder) == before
    (line,) = err.splitlines()
    return line


def test_errors_name_the_argument_the_value_and_what_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path / "hw4", seeds=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    a_file = tmp_path / "file"
    a_file.write_text("")
    nothing = tmp_path / "nothing"
    for arguments, expected in (
        ([str(nothing)], f"STUDY: {nothing} is not a folder; expected the folder of a study"),
        ([str(study), str(nothing)], f"STUDY: {nothing} is not a folder"),
        ([str(a_file)], f"STUDY: {a_file} is not a folder"),
        ([str(empty)], f"STUDY: {empty} holds no completed run (expected folders such as"),
        ([str(study), "--metric", "accuracy"], "--metric: accuracy is in no run; expected one of train/loss, "),
        ([str(study), "--out", str(a_file)], f"--out: {a_file} is not a folder"),
        ([str(study), "--out", str(a_file / "x")], f"--out: cannot write to {a_file / 'x'}"),
    ):
        assert expected in failing(arguments, tmp_path, capsys)


def test_nothing_left_is_an_error_that_says_what_there_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, seed=0, status=FAILED, error="the loss is NaN")
    (write_run(tmp_path, seed=1) / RESULTS).write_text("{")
    line = failing([str(tmp_path)], tmp_path, capsys)
    assert "holds no completed run (1 failed, 1 unreadable; the first: " in line
    assert "the loss is NaN" in line


def test_command_line_never_imports_torch_and_is_plain_off_a_terminal(tmp_path: Path):
    write_study(tmp_path / "hw4", seeds=2)
    command = [sys.executable, "-X", "importtime", "-m", "scripts.aggregate", "hw4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, flags=re.MULTILINE))
    assert {"pandas", "matplotlib", "src.analysis.collect"} <= imported
    assert not {"torch", "lightning", "hydra", "src.data", "src.models", "src.losses", "src.classifier"} & imported
    assert "\x1b" not in done.stdout + done.stderr
    assert "Report: hw4/report" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["hw4", "--nonsense"]])
def test_usage_errors_exit_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m scripts.aggregate")


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("nothing", 1)])
def test_help_and_errors_of_the_command_line(tmp_path: Path, argument: str, code: int):
    command = [sys.executable, "-m", "scripts.aggregate", argument]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    if code:
        assert (
            done.stderr == "aggregate: STUDY: nothing is not a folder; expected the folder of a study, as outputs/hw4\n"
        )
    else:
        assert all(word in done.stdout for word in ("STUDY", "--out", "--metric", "runs.csv", "never trains"))
    assert files(tmp_path) == set()


@pytest.mark.usefixtures("svg_only")
def test_a_terminal_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main([str(write_study(tmp_path, ("ce",), (2,), seeds=1))]) == 0
    err = capsys.readouterr().err
    assert "results" in err
    assert "histories" in err
