"""Splits by groups: no group in two parts, the sizes and the classes of every seed."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch

from src.data.dataframe import TableSettings, make_frame
from src.data.datamodule import StackedDataModule
from src.data.group_split import group_order, reachable_size
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


def module(**changes: object) -> StackedDataModule:
    draw = np.random.default_rng(0)
    patient = np.repeat(np.arange(25), 4)
    table = pd.DataFrame({"width": draw.normal(size=100), "patient": patient, "kind": patient % 2})
    frame = make_frame(table.assign(**changes), TableSettings(target="kind", groups="patient"))
    made = StackedDataModule(
        Table(frame, 2), seed_streams(list(range(5)), {}), batch_size=5, test_fraction=0.22, val_fraction=0.1
    )
    made.setup()
    return made


def test_every_seed_has_other_groups_and_the_same_sizes() -> None:
    made = module()
    assert made.sizes == (20, 8, 72)  # test, validation and training: nearest to 22 and 10 in steps of 4
    groups = [[set((rows // 4).tolist()) for rows in part] for part in made.indices]
    for train, val, test in zip(*groups, strict=True):
        assert not train & val | train & test | val & test
        assert len(train | val | test) == 25
    assert len({frozenset(test) for test in groups[2]}) > 1


def test_groups_that_cannot_be_split_are_one_line() -> None:
    with pytest.raises(SettingsError, match=r"`groups` to be a column with at least 3 groups, got .2 groups"):
        module(patient=np.repeat([0, 1], 50))
    with pytest.raises(SettingsError, match="`groups` to be a column whose groups can be split so that every split"):
        module(patient=np.repeat([0, 1, 2, 3], 25), kind=np.repeat([0, 0, 0, 1], 25))
