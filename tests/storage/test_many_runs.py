from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.storage.many_runs import blocks, may_have_file
from src.storage.schema import exists, read_numbers
from src.storage.stack_table import forget

pytest.importorskip("pyarrow")
COLUMNS = ("epoch", "loss")


def write_stack(folder: Path, seeds: range, rows: list[int], **options: object) -> None:
    """Write a stack whose runs have some rows each in their histories."""
    folder.mkdir(parents=True)
    names = [f"seed={seed}" for seed in seeds]
    about = pd.DataFrame({"run": names, "rows.history": [count or None for count in rows]})
    about.astype({"rows.history": "Int64"}).to_parquet(folder / "results.parquet", index=False)
    run = np.repeat(names, rows)
    epoch = np.concatenate([np.arange(count) for count in rows])
    loss = np.random.default_rng(len(seeds)).random(len(run))
    table = pd.DataFrame({"run": run, "epoch": epoch, "loss": loss})
    table.to_parquet(folder / "history.parquet", index=False, **options)
    forget()


def folders(condition: Path, count: int) -> list[str]:
    return [str(condition / f"seed={seed}") for seed in range(count)]


def ends(runs: list[str], conditions: list[str]) -> list[tuple[int, int]]:
    return [(block.start, block.stop) for block in blocks(runs, conditions, "history.csv")]


def test_a_block_has_the_numbers_of_its_runs_one_after_the_other(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(5), [2, 3, 1, 2, 2])
    runs = folders(tmp_path, 5)
    [block] = blocks(runs, ["ce"] * 5, "history.csv")
    assert block.rows.tolist() == [2, 3, 1, 2, 2]
    columns = block.columns(COLUMNS)
    assert columns is not None
    each = [read_numbers(Path(run, "history.csv"), COLUMNS) for run in runs]
    for name in COLUMNS:
        np.testing.assert_array_equal(columns[name], np.concatenate([one[name] for one in each]))
    assert block.columns(("epoch", "accuracy")) is None


def test_a_block_ends_with_its_stack_row_group_and_condition(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(4), [2] * 4, row_group_size=4)
    write_stack(tmp_path / "stack-1", range(4, 8), [1] * 4)
    runs = folders(tmp_path, 8)
    assert ends(runs, ["ce"] * 8) == [(0, 2), (2, 4), (4, 8)]
    assert ends(runs, ["ce"] * 5 + ["mse"] * 3) == [(0, 2), (2, 4), (4, 5), (5, 8)]
    assert ends(runs[:3] + runs[5:], ["ce"] * 6) == [(0, 2), (2, 3), (3, 6)]
    assert ends(runs[::-1], ["ce"] * 8) == [(each, each + 1) for each in range(8)]


def test_runs_without_rows_or_with_a_directory_are_read_alone(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(5), [2, 0, 2, 2, 2])
    (tmp_path / "seed=3").mkdir()
    found = list(blocks(folders(tmp_path, 6), ["ce"] * 6, "history.csv"))
    assert [(block.start, block.stop) for block in found] == [(each, each + 1) for each in range(6)]
    assert [block.columns(COLUMNS) is None for block in found] == [False, True, False, True, False, True]


def test_a_broken_table_leaves_each_run_to_be_read_alone(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(3), [2] * 3)
    (tmp_path / "stack-0" / "history.parquet").write_bytes(b"PAR1")
    forget()
    found = list(blocks(folders(tmp_path, 3), ["ce"] * 3, "history.csv"))
    assert len(found) == 3
    assert all(block.columns(COLUMNS) is None for block in found)


def test_texts_are_no_numbers(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(2), [2] * 2)
    [block] = blocks(folders(tmp_path, 2), ["ce"] * 2, "history.csv")
    assert block.columns(("run", "epoch")) is None


def test_a_run_may_have_what_a_table_or_a_directory_has(tmp_path: Path):
    write_stack(tmp_path / "stack-0", range(4), [1] * 4)
    for folder in ("stack-0/seed=1", "stack-0/seed=2", "seed=3"):
        (tmp_path / folder).mkdir()
    (tmp_path / "stack-0" / "seed=1" / "regions.csv").touch()
    runs = folders(tmp_path, 5)
    assert all(may_have_file(runs, "history.csv"))
    assert may_have_file(runs, "regions.csv") == [False, True, True, True, True]
    assert [exists(Path(run, "regions.csv")) for run in runs] == [False, True, False, False, False]
