"""Splits by groups: no group in two parts, the sizes and the classes of every seed."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GroupKFold

from src.data.dataframe import FILE_SPLIT, TableSettings, make_frame
from src.data.datamodule import StackedDataModule
from src.data.group_split import group_fold_size, group_order, reachable_size
from src.data.tabular import Table
from src.utils.seed_streams import seed_streams
from src.utils.validation import SettingsError


@pytest.mark.parametrize("seed", range(20))
def test_the_reachable_size_is_the_nearest_sum_of_some_groups(seed: int) -> None:
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 12, draw.integers(2, 8)).tolist()
    size = int(draw.integers(1, sum(counts)))
    sums = {sum(each) for number in range(1, len(counts)) for each in combinations(counts, number)}
    assert abs(reachable_size(counts, size) - size) == min(abs(other - size) for other in sums)


@pytest.mark.parametrize("seed", range(20))
def test_parts_share_no_group_and_have_every_class(seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups = np.sort(draw.integers(0, 30, 200))
    groups = np.unique(groups, return_inverse=True)[1]
    target = draw.integers(0, 3, 200)
    counts = np.bincount(groups).tolist()
    test, val = reachable_size(counts, 40), reachable_size(counts, 20)
    order = group_order(groups, target, (test, val, 200 - test - val), torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(200))
    parts = [set(groups[rows]) for rows in order.split([test, val, 200 - test - val])]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert all(set(target[rows]) == {0, 1, 2} for rows in order.split([test, val, 200 - test - val]))


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_whole_groups_of_one_size_and_leave_out_at_most_a_tenth(seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups = np.repeat(np.arange(30), draw.integers(3, 10, 30))
    target = draw.integers(0, 3, len(groups))
    size = group_fold_size(groups, target, 4)
    assert 0.9 * len(groups) <= 4 * size <= len(groups)
    order = group_order(groups, target, [size] * 4, torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(len(groups)))
    parts = order[: 4 * size].split(size)
    for part in parts:
        rest = np.setdiff1d(order, part)
        assert not set(groups[part]) & set(groups[rest])
        assert set(target[part]) == set(target[rest]) == {0, 1, 2}


def module(split: str = "stratified", **changes: object) -> StackedDataModule:
    draw = np.random.default_rng(0)
    patient = np.repeat(np.arange(25), 4)
    table = pd.DataFrame({"width": draw.normal(size=100), "patient": patient, "kind": patient % 2})
    table = table.assign(**changes)
    by = FILE_SPLIT if FILE_SPLIT in table else None
    frame = make_frame(table, TableSettings(target="kind", groups="patient", split_by=by))
    sizes: dict[str, float | None] = {"test_fraction": 0.22, "val_fraction": 0.1}
    if split != "stratified":
        sizes = {"test_fraction": None, "val_fraction": 0}
    folds = 5 if split == "kfold" else None
    made = StackedDataModule(
        Table(frame, 2), seed_streams(list(range(10)), {}), batch_size=5, split=split, folds=folds, **sizes
    )
    made.setup()
    return made


def test_groups_of_one_size_have_the_folds_of_scikit_learn_in_each_repeat() -> None:
    made = module("kfold")
    folds = GroupKFold(5).split(np.zeros(100), groups=np.repeat(np.arange(25), 4))
    assert {len(test) for _, test in folds} == {made.sizes[0]} == {20}
    tested = [set((rows // 4).tolist()) for rows in made.indices[2]]
    assert [len(groups) for groups in tested] == [5] * 10
    assert set.union(*tested[:5]) == set.union(*tested[5:]) == set(range(25))
    assert set(map(frozenset, tested[:5])) != set(map(frozenset, tested[5:]))
    assert not any(groups & set((rows // 4).tolist()) for groups, rows in zip(tested, made.indices[0], strict=True))


def test_a_second_file_is_the_test_split_whatever_its_groups() -> None:
    made = module("file", **{FILE_SPLIT: np.repeat(["train", "test"], [80, 20])})
    assert [sorted(rows.tolist()) for rows in made.indices[2]] == [list(range(80, 100))] * 10


def test_every_seed_has_other_groups_and_the_same_sizes() -> None:
    made = module()
    assert made.sizes == (20, 8, 72)  # test, validation and training: nearest to 22 and 10 in steps of 4
    groups = [[set((rows // 4).tolist()) for rows in part] for part in made.indices]
    for train, val, test in zip(*groups, strict=True):
        assert not train & val | train & test | val & test
        assert len(train | val | test) == 25
    assert len({frozenset(test) for test in groups[2]}) > 1


def test_groups_that_cannot_be_split_are_one_line() -> None:
    with pytest.raises(SettingsError, match="`folds` to be at most 4, as a class is in 4 groups"):
        module("kfold", kind=(np.arange(100) < 16).astype(int))
    with pytest.raises(SettingsError, match="`folds` to be a number for which whole groups make folds of one size"):
        module("kfold", patient=np.repeat(np.arange(5), [5, 11, 21, 31, 32]), kind=np.arange(100) % 2)
    with pytest.raises(SettingsError, match=r"`groups` to be a column with at least 3 groups, got .2 groups"):
        module(patient=np.repeat([0, 1], 50))
    with pytest.raises(SettingsError, match="`groups` to be a column whose groups can be split so that every split"):
        module(patient=np.repeat([0, 1, 2, 3], 25), kind=np.repeat([0, 0, 0, 1], 25))
