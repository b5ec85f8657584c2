from pathlib import Path

import pandas as pd
import pytest

from src.storage.stack_table import BrokenStackError, open_stack

pytest.importorskip("pyarrow")


def write_results(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    pd.DataFrame({"run": names}).to_parquet(folder / "results.parquet", index=False)


def test_a_stack_is_read_once_while_its_files_stay(tmp_path: Path) -> None:
    write_results(tmp_path / "stack-0", "seed=0", "seed=1")
    first = open_stack(tmp_path / "stack-0")
    assert first.names == ["seed=0", "seed=1"]
    assert open_stack(tmp_path / "stack-0") is first


def test_a_stack_in_the_place_of_another_is_read(tmp_path: Path) -> None:
    write_results(tmp_path / "stack-0", "seed=0")
    assert open_stack(tmp_path / "stack-0").names == ["seed=0"]
    (tmp_path / "stack-0").rename(tmp_path / "old")
    write_results(tmp_path / "stack-0", "seed=2")
    assert open_stack(tmp_path / "stack-0").names == ["seed=2"]


@pytest.mark.parametrize("name", ["results.parquet", "history.parquet"])
def test_a_stack_is_read_again_after_a_file_has_changed(tmp_path: Path, name: str) -> None:
    write_results(tmp_path / "stack-0", "seed=0")
    (tmp_path / "stack-0" / "history.parquet").write_text("of runs")
    first = open_stack(tmp_path / "stack-0")
    (tmp_path / "stack-0" / name).write_text("broken")
    assert open_stack(tmp_path / "stack-0") is not first


def test_a_stack_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BrokenStackError, match=r"stack-0.results\.parquet cannot be read: it is missing"):
        open_stack(tmp_path / "stack-0").names  # noqa: B018 - read here
