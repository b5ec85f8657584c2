"""Splits that a column decides: what is in which part, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.data.dataframe import TableSettings, make_frame
from src.data.datamodule import StackedDataModule
from src.data.splits import fold_numbers, time_sizes
from src.data.tabular import Table
from src.experiments import load_run
from src.storage.schema import read_results
from src.utils.seed_streams import seed_streams
from src.utils.validation import SettingsError


def module(split: str, seeds: int = 3, groups: str | None = None, by: str | None = "by", **changes: Any) -> Any:
    draw = np.random.default_rng(0)
    columns = {"width": draw.normal(size=60), "by": np.arange(60) // 3, "clinic": np.arange(60) // 12}
    table = pd.DataFrame(columns | {"kind": np.arange(60) % 3} | changes.pop("columns", {}))
    if groups is None:
        table = table.drop(columns="clinic")
    if by is None:
        table = table.drop(columns="by")
    frame = make_frame(table, TableSettings(target="kind", groups=groups, split_by=by))
    arguments = {"batch_size": 5, "test_fraction": 0.2, "val_fraction": 0.1} | changes
    made = StackedDataModule(Table(frame, 3), seed_streams(list(range(seeds)), {}), split=split, **arguments)
    made.setup()
    return made


TIMES = st.lists(st.integers(0, 30), min_size=6, max_size=60)


@given(TIMES, st.integers(1, 30), st.integers(0, 20))
def test_no_two_parts_share_a_time_and_the_sizes_are_the_nearest(times: list[int], test: int, val: int) -> None:
    assume(len(set(times)) >= 2 + (val > 0))
    found = time_sizes(np.array(times, dtype=float), test, val)
    ends = [sum(time >= limit for time in times) for limit in sorted(set(times))[1:]]
    possible = [end for end in ends if val == 0 or end < max(ends)]
    assert abs(found[0] - test) == min(abs(end - test) for end in possible)
    assert (found[1] > 0) == (val > 0)
    assert sum(found) in ends


@pytest.mark.parametrize("dates", [False, True])
def test_training_is_before_validation_which_is_before_the_test(dates: bool) -> None:
    times = np.random.default_rng(1).permutation(np.arange(60) // 3)
    kinds = np.random.default_rng(2).integers(0, 3, 60)
    texts = (pd.Timestamp("2024-01-30") + pd.to_timedelta(times, unit="D")).strftime("%d.%m.%Y")
    made = module("time", columns={"by": texts if dates else times, "kind": kinds})
    assert made.sizes == (12, 6, 42)
    for train, val, test in zip(*made.indices, strict=True):
        assert times[train].max() < times[val].min() <= times[val].max() < times[test].min()
        assert sorted([*train.tolist(), *val.tolist(), *test.tolist()]) == list(range(60))


def test_a_column_names_the_split_of_each_sample() -> None:
    names = np.random.default_rng(1).choice(["train", "val", "test"], 60, p=[0.5, 0.2, 0.3])
    made = module("column", test_fraction=None, val_fraction=(names == "val").mean(), columns={"by": names})
    for part, rows in zip(("train", "val", "test"), made.indices, strict=True):
        assert all(sorted(seed.tolist()) == np.flatnonzero(names == part).tolist() for seed in rows)


def test_split_group_keeps_groups_together_and_a_group_split_needs_groups() -> None:
    made = module("group", groups="clinic", by=None, val_fraction=0.2)
    for train, val, test in zip(*made.indices, strict=True):
        clinics = [set((rows // 12).tolist()) for rows in (train, val, test)]
        assert sum(map(len, clinics)) == len(set.union(*clinics)) == 5
    with pytest.raises(SettingsError, match="`groups` to be the column of groups with split=group, got null"):
        module("group", by=None)


@given(st.lists(st.integers(5, 23), min_size=2, max_size=5), st.integers(2, 5), st.integers(0, 2**31 - 1))
def test_folds_are_disjoint_equal_and_stratified(counts: list[int], folds: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    numbers = fold_numbers(labels, folds, seed)
    assert np.bincount(numbers[numbers >= 0]).tolist() == [len(labels) // folds] * folds
    table = np.array([np.bincount(labels[numbers == fold], minlength=len(counts)) for fold in range(folds)])
    assert np.ptp(table, axis=0).max() <= 1
    assert table.min() >= 1


def test_seeds_are_the_folds_of_one_repeat_after_the_other() -> None:
    made = module("kfold", seeds=8, by=None, test_fraction=None, folds=4)
    assert made.sizes == (15, 6, 39)
    train, val, test = ([set(rows.tolist()) for rows in part] for part in made.indices)
    for repeat in (test[:4], test[4:]):
        assert set.union(*repeat) == set(range(60))
    assert set(map(frozenset, test[:4])) != set(map(frozenset, test[4:]))
    assert all(not (a & b or a & c or b & c) for a, b, c in zip(train, val, test, strict=True))
    alone = module("kfold", seeds=1, by=None, test_fraction=None, folds=4)
    assert set(alone.indices[2][0].tolist()) == test[0]


HALVES = np.repeat(["train", "test"], 30)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("time", {"columns": {"by": np.zeros(60)}}, "`split_by` to be a column with at least 3 different times"),
    ("time", {"columns": {"by": HALVES}}, "`split_by` to be a column of dates or numbers with split=time"),
    ("time", {"columns": {"kind": np.arange(60) // 20}}, "`split_by` to be a column with every class in every split"),
    ("time", {"groups": "clinic"}, "`groups` to be a column whose groups are in one split each"),
    ("column", {"test_fraction": None}, "`split_by` to be a column that says train, val or test, got .by with 0"),
    ("column", {"columns": {"by": HALVES}}, "`test_fraction` to be null with split=column"),
    ("column", {"test_fraction": None, "columns": {"by": HALVES}}, "`val_fraction` to be 0, the share that by names"),
    ("stratified", {}, "`split_by` to be null with split=stratified, got .by"),
    ("time", {"by": None}, "`split_by` to be the column that decides with split=time"),
    ("kfold", {"by": None, "test_fraction": None, "folds": 1}, "`folds` to be a whole number from 2 to 60, got 1"),
    ("kfold", {"by": None, "test_fraction": None, "folds": 21}, "`folds` to be a number of folds, each of which has"),
    ("kfold", {"by": None, "folds": 5}, "`test_fraction` to be null with split=kfold"),
    ("kfold", {"by": None, "groups": "clinic", "test_fraction": None, "folds": 5}, "`val_fraction` to be 0 with"),
    ("stratified", {"by": None, "folds": 5}, "`folds` to be null with split=stratified, got 5"),
    ("nope", {}, "`split` to be one of stratified, group, time, column, file, kfold"),
]


@pytest.mark.parametrize(("split", "changes", "line"), REFUSED)
def test_what_gives_no_split_is_one_line(split: str, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError, match=line):
        module(split, **changes)


def test_a_study_by_a_column_ends_with_its_test_samples(tmp_path: Path, train: Callable[..., Any]) -> None:
    names = ["train", "train", "test", "val"] * 15
    table = pd.DataFrame({"width": np.sin(np.arange(60)), "part": names, "kind": ["low", "low", "high"] * 20})
    table.to_csv(tmp_path / "table.csv", index=False)
    words = ("data.path=table.csv", "data.target=kind", "split=column", "data.split_by=part", "trainer.max_epochs=1")
    train("data=csv", *words, "figures=none", "study=named")
    [folder] = tmp_path.glob("outputs/named/*/seed=0")
    results = read_results(folder)
    assert results.metrics["test/count"] == 15
    assert results.config["data"]["val_fraction"] == 0.25
    assert len(pd.read_csv(folder / "predictions.csv")) == 15


@pytest.mark.integration
def test_folds_of_two_losses_are_paired_and_their_intervals_corrected(
    tmp_path: Path, train: Callable[..., Any]
) -> None:
    words = ("data=iris", "split=kfold", "data.folds=3", "trainer.max_epochs=2", "figures=none", "study=folds")
    train("--multirun", *words, "loss=ce,mse_onehot", "seed=range(3)")
    found = find(collect([tmp_path / "outputs/folds"]), "test/accuracy", Plan("ce"))
    assert set(found.replicate.overlap.values()) == {0.5}
    assert any("Nadeau and Bengio" in note for note in found.notes)
    runs = found.collection.completed.pivot(index="seed", columns="loss", values="test/accuracy")
    [row] = found.comparisons.itertuples()
    differences = 100 * (runs["mse_onehot"] - runs["ce"])
    error = float(np.sqrt((1 / 3 + 0.5) * differences.var()))
    if row.learned_n == 3 and error:
        expected = stats.t.interval(0.95, 2, differences.mean(), error)
        assert (row.learned_low, row.learned_high) == pytest.approx(expected)
    [summary] = found.summary[found.summary["loss"] == "ce"].to_dict("records")
    error = float(np.sqrt((1 / 3 + 0.5) * runs["ce"].var()))
    expected = stats.t.interval(0.95, 2, runs["ce"].mean(), error)
    assert (summary["test/accuracy low"], summary["test/accuracy high"]) == pytest.approx(expected)


@pytest.mark.integration
def test_the_rows_of_a_second_file_are_the_test_samples(tmp_path: Path, train: Callable[..., Any]) -> None:
    table = pd.DataFrame({"width": np.sin(np.arange(50)), "site": ["a", "b"] * 25, "kind": ["low", "high"] * 25})
    table.to_csv(tmp_path / "seen.csv", index=False)
    table[:12].assign(site="c").to_csv(tmp_path / "new.csv", index=False)
    words = ("data=csv", "data.path=seen.csv", "data.target=kind", "split=file", "trainer.max_epochs=1", "study=files")
    train(*words, "data.test_path=new.csv", "data.val_fraction=0.2", "figures=none")
    [folder] = tmp_path.glob("outputs/files/*/seed=0")
    splits = json.loads((folder / "table.json").read_text())["splits"]
    assert sorted(splits["test"]) == list(range(50, 62))
    assert len(splits["val"]) == 12
    assert sorted([*splits["train"], *splits["val"]]) == list(range(50))
    assert read_results(folder).metrics["test/count"] == 12
    assert load_run(folder).note is None
    table[:12].drop(columns="width").to_csv(tmp_path / "new.csv", index=False)
    assert "'new.csv' is missing or has changed" in str(load_run(folder).note)
    assert "Expected `data.test_path`" in train(*words, "data.test_path=new.csv", code=1).err
    assert "Expected `data.test_path`" in train(*words, "data.test_path=nowhere.csv", code=1).err
    assert "Expected `data.test_path`" in train(*words, code=1).err
