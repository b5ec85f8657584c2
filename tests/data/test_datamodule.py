from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from src.data import datamodule
from src.data.datamodule import Batch, EpochLoader, Split, StackedDataModule
from src.data.noisy_cubic import NoisyCubic
from src.utils.seed_streams import seed_streams
from src.utils.validation import SettingsError

few = settings(max_examples=25, deadline=None, derandomize=True)


def make_module(
    seeds: Sequence[int] = (0,), *, classes: int = 2, samples_per_class: int = 80, **changes: Any
) -> StackedDataModule:
    distribution = NoisyCubic(
        classes,
        samples_per_class=samples_per_class,
        noise="uniform",
        half_width=0.2,
        spacing=0.2,
        label_order=None,
        priors=None,
        flip=0,
    )
    pins = {name: changes.pop(name, None) for name in ("data", "split", "shuffle")}
    arguments = {"batch_size": 5, "test_fraction": 0.2, "val_fraction": 0} | changes
    return StackedDataModule(distribution, seed_streams(list(seeds), pins), **arguments)


def ready(*args: Any, **kwargs: Any) -> StackedDataModule:
    module = make_module(*args, **kwargs)
    module.setup()
    return module


def rows(split: Split, seed: int = 0) -> list[tuple[float, ...]]:
    """Return the samples of one seed as (x1, x2, target)."""
    return [(*sample, label) for sample, label in zip(split.x[seed].tolist(), split.target[seed].tolist(), strict=True)]


def numbered(seeds: int, size: int) -> Split:
    """Return a split whose samples are numbered, with targets that are a function of the number."""
    number = torch.arange(size).expand(seeds, size)
    return Split(torch.stack([number, number + 0.5], dim=-1).float(), number % 3)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def assert_same_batches(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for (x, target), (other_x, other_target) in zip(first, second, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(target, other_target)


# The splits.


def test_the_slides_split_is_128_training_and_32_test_samples() -> None:
    module = ready([0, 1, 2])
    assert (module.train.x.shape, module.train.target.shape) == ((3, 128, 2), (3, 128))
    assert (module.test.x.shape, module.test.target.shape) == ((3, 32, 2), (3, 32))
    assert (module.train.x.dtype, module.train.target.dtype) == (torch.float32, torch.int64)
    assert (module.test.x.dtype, module.test.target.dtype) == (torch.float32, torch.int64)
    assert (module.val.x.shape, module.val.target.shape) == ((3, 0, 2), (3, 0))


@pytest.mark.parametrize(
    ("classes", "samples", "fractions", "sizes"),
    [
        (4, 80, (0.2, 0.0), (256, 0, 64)),
        (2, 80, (0.2, 0.25), (88, 40, 32)),
        (3, 7, (0.2, 0.1), (15, 2, 4)),
        (2, 2, (0.5, 0.25), (1, 1, 2)),
    ],
)
def test_sizes_are_rounded_shares_of_the_samples(
    classes: int, samples: int, fractions: tuple[float, float], sizes: tuple[int, int, int]
) -> None:
    test, val = fractions
    module = ready([5], classes=classes, samples_per_class=samples, test_fraction=test, val_fraction=val)
    assert tuple(split.target.shape[1] for split in (module.train, module.val, module.test)) == sizes


@pytest.mark.parametrize("val_fraction", [0, 0.25])
def test_the_splits_are_a_partition_of_the_sample(val_fraction: float) -> None:
    module = ready([3, 8], val_fraction=val_fraction)
    x, target = module.source.sample([stream.generator("data") for stream in module.streams])
    for seed in range(2):
        parts = [rows(split, seed) for split in (module.train, module.val, module.test)]
        assert sorted(row for part in parts for row in part) == sorted(rows(Split(x.float(), target), seed))
        assert len({row for part in parts for row in part}) == 160


def test_a_seed_alone_gets_the_data_it_gets_in_a_stack() -> None:
    stacked = ready([0, 7, 3], val_fraction=0.1)
    stacked.setup("test")  # again, which changes nothing
    for index, seed in enumerate((0, 7, 3)):
        alone = ready([seed], val_fraction=0.1)
        for name in ("train", "val", "test"):
            split, part = getattr(alone, name), getattr(stacked, name)[index : index + 1]
            assert torch.equal(split.x, part.x)
            assert torch.equal(split.target, part.target)


def test_seeds_have_data_and_splits_of_their_own() -> None:
    module = ready(range(10))
    assert len({tuple(rows(module.test, seed)) for seed in range(10)}) == 10
    assert len({tuple(sorted(rows(module.train, seed) + rows(module.test, seed))) for seed in range(10)}) == 10


def test_the_split_does_not_depend_on_the_data_stream() -> None:
    first, second = ready([1], split=4), ready([2], split=4)
    assert torch.equal(first.test.target, second.test.target)
    assert torch.equal(first.test.x[..., 0], second.test.x[..., 0])
    assert not torch.equal(first.test.x[..., 1], second.test.x[..., 1])


def test_seeds_that_share_the_data_may_split_it_differently() -> None:
    module = ready([1, 2], data=0)
    one, other = (sorted(rows(module.train, seed) + rows(module.test, seed)) for seed in range(2))
    assert one == other
    assert sorted(rows(module.test, 0)) != sorted(rows(module.test, 1))


def test_every_sample_is_held_out_with_the_same_probability() -> None:
    module = ready(range(1000), samples_per_class=10)
    position = (module.test.x[..., 0] * 9).round().long() * 2 + module.test.target  # (1000, 4), a sample's number
    counts = torch.bincount(position.flatten(), minlength=20)
    assert counts.sum() == 4000
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


# The mini-batches.


def epoch(loader: EpochLoader) -> list[Batch]:
    """Return the mini-batches of an epoch, whose blocks are read."""
    return [batch for block in loader for batch in block.mini_batches()]


def test_an_epoch_is_one_block_of_25_batches_of_5_and_one_of_3() -> None:
    loader = ready([0, 1]).train_dataloader()
    (block,) = loader
    assert len(loader) == 1
    assert [x.shape for x, _ in block] == [(25, 2, 5, 2), (1, 2, 3, 2)]
    assert [target.shape for _, target in block] == [(25, 2, 5), (1, 2, 3)]


@few
@given(st.integers(1, 40), st.integers(1, 50), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_every_epoch_is_a_permutation_of_the_samples_of_each_seed(size: int, batch_size: int, seeds: list[int]) -> None:
    loader = EpochLoader(numbered(len(seeds), size), generators(*seeds), batch_size)
    for _ in range(2):
        batches = epoch(loader)
        assert all(part.is_contiguous() for batch in batches for part in batch)  # or the native engine copies them
        widths = [target.shape[1] for _, target in batches]
        assert widths == [batch_size] * (size // batch_size) + [size % batch_size] * (size % batch_size > 0)
        x = torch.cat([x for x, _ in batches], dim=1)  # (S, N, 2)
        target = torch.cat([target for _, target in batches], dim=1)
        assert x[..., 0].sort(dim=1).values.tolist() == [list(range(size))] * len(seeds)
        assert torch.equal(x[..., 1], x[..., 0] + 0.5)
        assert torch.equal(target, x[..., 0].long() % 3)


def test_a_seed_alone_is_shuffled_as_in_a_stack_anew_each_epoch() -> None:
    module, again, alone = ready([4, 0, 9], data=5), ready([4, 0, 9], data=5), ready([0], data=5)
    loaders = module.train_dataloader(), again.train_dataloader(), alone.train_dataloader()
    orders = set()
    for _ in range(3):
        together, repeated, single = map(epoch, loaders)
        assert_same_batches(repeated, together)
        assert_same_batches([(x[1:2], target[1:2]) for x, target in together], single)
        orders |= {tuple(torch.cat([x[seed] for x, _ in together]).flatten().tolist()) for seed in range(3)}
    assert len(orders) == 9


def test_stratified_mini_batches_of_a_seed_alone_are_those_in_a_stack() -> None:
    module, alone = (ready(seeds, data=5, classes=3, stratified_batches=True) for seeds in ([4, 0, 9], [0]))
    for _ in range(2):
        together, single = epoch(module.train_dataloader()), epoch(alone.train_dataloader())
        assert_same_batches([(x[1:2], target[1:2]) for x, target in together], single)


def test_a_pinned_shuffle_orders_all_seeds_alike() -> None:
    module = ready([1, 2], data=0, split=0, shuffle=0)
    batches = epoch(module.train_dataloader())
    assert all(torch.equal(x[0], x[1]) and torch.equal(target[0], target[1]) for x, target in batches)


def test_the_batch_size_changes_the_cuts_and_not_the_order() -> None:
    small, large = (epoch(each.train_dataloader()) for each in (ready([0]), ready([0], batch_size=1000)))
    assert len(large) == 1
    assert torch.equal(torch.cat([x for x, _ in small], dim=1), large[0][0])


def test_blocks_of_an_epoch_follow_each_other_with_whole_mini_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = epoch(ready([3, 4]).train_dataloader())
    monkeypatch.setattr(datamodule, "MAX_BLOCK", 44)
    loader = ready([3, 4]).train_dataloader()
    blocks = list(loader)
    assert [len(list(block.mini_batches())) for block in blocks] == [8, 8, 8, 2]
    assert len(loader) == 4
    assert_same_batches([batch for block in blocks for batch in block.mini_batches()], whole)
    larger = ready([3, 4], batch_size=50).train_dataloader()  # than a block
    assert [[x.shape[1] for x, _ in block.mini_batches()] for block in larger] == [[50], [50], [28]]


def test_every_sample_comes_first_with_the_same_probability() -> None:
    loader = EpochLoader(numbered(500, 20), generators(*range(500)), 5)
    counts = torch.zeros(20)
    for _ in range(4):
        batches = epoch(loader)
        counts += torch.bincount(batches[0][0][..., 0].long().flatten(), minlength=20)
    assert counts.sum() == 10_000
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_validation_comes_as_one_batch_of_all_its_samples() -> None:
    module = ready([0, 1], val_fraction=0.25)
    loader = module.val_dataloader()
    ((x, target),) = loader
    assert len(loader) == 1
    assert x.shape == (2, 40, 2)
    assert x is module.val.x
    assert target is module.val.target


# Bad arguments.

FRACTION, PARTIAL, BATCH = "above 0 and below 1", "at least 0 and below 1", "from 1 to 2147483648"
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [  # the settings, and by those refused a part of the rule
    *(({"batch_size": value}, {"batch_size": BATCH}) for value in (0, 2.5, True)),
    *(({"test_fraction": value}, {"test_fraction": FRACTION}) for value in (0, 1, -0.1, None)),
    *(({"val_fraction": value}, {"val_fraction": PARTIAL}) for value in (1.0, -0.5, "0")),
    *(({name: 0.001}, {name: "of 160 samples"}) for name in ("test_fraction", "val_fraction")),
    ({"test_fraction": 0.999}, {"test_fraction": "of 160 samples"}),
    (
        {"test_fraction": 0.2, "val_fraction": 0.8},
        {"val_fraction": "of 160 samples", "test_fraction": "of 160 samples"},
    ),
    (
        {"batch_size": -1, "test_fraction": 2, "val_fraction": 3},
        {"batch_size": BATCH, "test_fraction": FRACTION, "val_fraction": PARTIAL},
    ),
]


@pytest.mark.parametrize(("changes", "rules"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_wrong_arguments_are_named_with_their_values_and_rules(changes: dict[str, Any], rules: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        make_module(**changes)
    problems = caught.value.problems
    assert [(problem.name, problem.value) for problem in problems] == [(name, changes[name]) for name in rules]
    assert all(rule in problem.rule for problem, rule in zip(problems, rules.values(), strict=True))
