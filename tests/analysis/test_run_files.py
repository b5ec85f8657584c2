from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.analysis.collect import collect
from src.analysis.confusion_files import read_confusion
from src.analysis.run_files import read_curves, read_predictions, read_regions
from src.experiments.convert import to_tables
from src.storage.schema import HISTORY, PREDICTIONS, REGIONS, ArtifactError
from src.storage.stack_table import StackRun
from tests.analysis.studies import write_run, write_study


def test_curves_hold_every_seed_of_every_condition(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=3)]).runs
    curves, problems = read_curves(runs)
    assert problems == []
    assert set(curves) == set(runs["fingerprint"])
    for fingerprint, group in runs.groupby("fingerprint"):
        tables = [pd.read_csv(Path(folder) / HISTORY) for folder in group["folder"]]
        np.testing.assert_array_equal(curves[fingerprint].epoch, tables[0]["epoch"])
        np.testing.assert_array_equal(curves[fingerprint].loss, [table["train/loss"] for table in tables])


def test_curves_of_unequal_length_are_aligned_by_epoch(tmp_path: Path):
    for seed, epochs in enumerate([[1, 2, 3], [1, 3], [1, 2, 3, 4]]):
        folder = write_run(tmp_path, seed=seed)
        pd.DataFrame({"epoch": epochs, "train/loss": np.array(epochs) * 1.0}).to_csv(folder / HISTORY)
    by_condition, problems = read_curves(collect([tmp_path]).runs)
    (curves,) = by_condition.values()
    assert problems == []
    nan = np.nan
    np.testing.assert_array_equal(curves.epoch, [1, 2, 3, 4])
    np.testing.assert_array_equal(curves.loss, [[1, 2, 3, nan], [1, nan, 3, nan], [1, 2, 3, 4]])


@pytest.mark.parametrize(
    "content", ["", "epoch\n1\n", "epoch,train/loss\n", "epoch,train/loss\n1,x\n", "epoch,train/loss\n2,1\n1,1\n"]
)
def test_a_damaged_history_is_one_line_and_the_others_are_read(tmp_path: Path, content: str):
    write_run(tmp_path, seed=0)
    (write_run(tmp_path, seed=1) / HISTORY).write_text(content)
    curves, problems = read_curves(collect([tmp_path]).runs)
    assert [each.loss.shape[0] for each in curves.values()] == [1]
    assert len(problems) == 1
    assert "seed=1" in problems[0]


@pytest.mark.parametrize("seeds", [2, 7])
def test_a_stack_is_read_as_often_for_many_seeds_as_for_few(tmp_path: Path, monkeypatch, seeds: int):
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("safetensors")
    study = write_study(tmp_path / "study", counts=(2,), seeds=seeds)
    expected = read_curves(collect([study]).runs)[0]
    for condition in study.iterdir():
        assert to_tables(condition) == (seeds, [])
    opened: list[Path] = []
    for name in ("read_table", "ParquetFile"):
        original = getattr(parquet, name)
        monkeypatch.setattr(
            parquet, name, lambda path, original=original, **options: opened.append(path) or original(path, **options)
        )
    monkeypatch.setattr(StackRun, "table", lambda *_: None)  # no table is cut for a run alone
    study = study.rename(tmp_path / "again")  # of which this process has read nothing
    runs = collect([study]).runs
    curves, problems = read_curves(runs)
    assert read_confusion(runs) == ({}, problems) == ({}, [])
    reads = Counter(path.relative_to(study).name for path in opened)
    assert reads == {"results.parquet": 2, "history.parquet": 4}  # of two stacks, the sizes of histories first
    for name, each in expected.items():
        np.testing.assert_array_equal(curves[name].epoch, each.epoch)
        np.testing.assert_array_equal(curves[name].loss, each.loss)


def test_a_condition_whose_histories_are_gone_has_no_curves(tmp_path: Path):
    write_run(tmp_path, files=False)
    curves, problems = read_curves(collect([tmp_path]).runs)
    assert curves == {}
    assert problems[0].endswith("history.csv is missing")


def test_a_run_fitted_in_closed_form_has_no_curve(tmp_path: Path):
    write_run(tmp_path)
    (write_run(tmp_path, "none", model="gaussian") / HISTORY).write_text("epoch,step,train/loss,train/accuracy\n")
    curves, problems = read_curves(collect([tmp_path]).runs)
    assert len(curves) == 1
    assert problems == []


def test_predictions_are_those_of_the_file(tmp_path: Path):
    folder = write_run(tmp_path, classes=4)
    table = pd.read_csv(folder / PREDICTIONS)
    points = read_predictions(collect([tmp_path]).runs.iloc[0])
    np.testing.assert_array_equal(points.x, table[["x1", "x2"]])
    np.testing.assert_array_equal(points.target, table["target"])
    np.testing.assert_array_equal(points.pred, table["pred"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("x1,target,pred\n0,0,0\n", "lacks the column x2"),
        ("x1,x2,target,pred\n", "expected numbers in"),
        ("x1,x2,target,pred\n0,0,0,2\n", "to be integers"),
        ("x1,x2,target,pred\n0,0,0,-1\n", "to be integers"),
        ("x1,x2,target,pred\n0,0,0,0.5\n", "to be integers"),
        ("x1,x2,target,pred\n0,a,0,1\n", "expected numbers in"),
    ],
)
def test_damaged_predictions_raise_one_line(tmp_path: Path, content: str, expected: str):
    (write_run(tmp_path) / PREDICTIONS).write_text(content)
    with pytest.raises(ArtifactError, match=expected):
        read_predictions(collect([tmp_path]).runs.iloc[0])


def regions_of(folder: Path, content: str | None = None):
    if content is not None:
        (folder / REGIONS).write_text(content)
    return read_regions(pd.Series({"folder": str(folder), "classes": 2}))


def test_regions_are_a_grid_in_any_order_of_rows(tmp_path: Path):
    rows = [(x1, x2, int(x2 > x1), int(x2 > 0)) for x1 in (0, 0.5, 1) for x2 in (-1, 1)]
    table = pd.DataFrame(rows, columns=["x1", "x2", "pred", "bayes"]).sample(frac=1, random_state=1)
    grid = regions_of(tmp_path, table.to_csv(index=False))
    np.testing.assert_array_equal(grid.x1, [0, 0.5, 1])
    np.testing.assert_array_equal(grid.x2, [-1, 1])
    np.testing.assert_array_equal(grid.pred, [[0, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(grid.bayes, [[0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is missing"),
        ("x1,x2,pred\n", "lacks the column bayes"),
        ("x1,x2,pred,bayes\n", "expected "),
        ("x1,x2,pred,bayes\n0,0,0,2\n", "expected pred and bayes to be integers"),
        ("x1,x2,pred,bayes\na,0,0,1\n", "expected numbers in the columns x1 and x2"),
        ("x1,x2,pred,bayes\n0,0,0,1\n", "a full, evenly spaced grid"),
        ("x1,x2,pred,bayes\n0,0,0,1\n1,0,0,1\n0,1,0,1\n", "a full, evenly spaced grid"),
        ("x1,x2,pred,bayes\n" + "".join(f"{a},{b},0,1\n" for a in (0, 1, 5) for b in (0, 1)), "a full, evenly spaced"),
        ("x1,x2,pred,bayes\n,0,0,1\n1,0,0,1\n0,1,0,1\n1,1,0,1\n", "a full, evenly spaced grid"),
    ],
)
def test_damaged_regions_are_refused_in_one_line(tmp_path: Path, content: str | None, expected: str):
    with pytest.raises(ArtifactError) as error:
        regions_of(tmp_path, content)
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1
