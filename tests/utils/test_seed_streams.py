from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from src.config.instantiate import Components, build_components, stack
from src.utils.seed_streams import SeedStreams, seed_streams
from src.utils.seeds import PURPOSES
from src.utils.validation import SettingsError

UNPINNED = dict.fromkeys(PURPOSES)
seeds = st.integers(0, 2**63 - 1)


def first_numbers(stream: SeedStreams, purpose: str) -> list[float]:
    return torch.rand(4, generator=stream.generator(purpose)).tolist()


# All stored results depend on this derivation, and their fingerprints do not show when it changes.
@pytest.mark.parametrize(
    ("seed", "golden"),
    [
        (0, (15793235383387715774, 5836529245451711556, 17195319236771816063, 6582426945856704739)),
        (7, (16920295385781661272, 6635463128224577688, 18279110831140952437, 5061563556724077661)),
    ],
)
def test_the_derivation_of_the_streams_never_changes(seed: int, golden: tuple[int, ...]) -> None:
    (stream,) = seed_streams([seed], UNPINNED)
    assert tuple(stream.generator(purpose).initial_seed() for purpose in PURPOSES) == golden


def test_seeds_and_purposes_all_give_different_numbers() -> None:
    numbers = {
        tuple(first_numbers(stream, purpose))
        for stream in seed_streams(list(range(50)), UNPINNED)
        for purpose in PURPOSES
    }
    assert len(numbers) == 50 * len(PURPOSES)


def test_global_random_state_is_neither_used_nor_changed() -> None:
    before = torch.get_rng_state()
    numbers = first_numbers(seed_streams([3], UNPINNED)[0], "data")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert first_numbers(seed_streams([3], UNPINNED)[0], "data") == numbers


def test_seeds_of_different_purposes_are_uncorrelated() -> None:
    (stream,) = seed_streams([0], UNPINNED)
    draws = torch.stack([torch.randn(20_000, generator=stream.generator(purpose)) for purpose in PURPOSES])
    correlation = torch.corrcoef(draws) - torch.eye(len(PURPOSES))
    assert correlation.abs().max() < 4 / 20_000**0.5


def test_a_pinned_purpose_is_shared_and_the_others_follow_the_seed() -> None:
    free, pinned = seed_streams([1, 2], UNPINNED), seed_streams([1, 2], UNPINNED | {"split": 0})
    assert pinned == [
        SeedStreams(1, data=1, split=0, init=1, shuffle=1, pinned=("split",)),
        SeedStreams(2, data=2, split=0, init=2, shuffle=2, pinned=("split",)),
    ]
    assert [member.pins for member in free + pinned] == [{}, {}, {"split": 0}, {"split": 0}]
    assert first_numbers(pinned[0], "split") == first_numbers(pinned[1], "split")
    assert first_numbers(pinned[0], "split") == first_numbers(seed_streams([0], UNPINNED)[0], "split")
    for alone, shared in zip(free, pinned, strict=True):
        for purpose in ("data", "init", "shuffle"):
            assert first_numbers(alone, purpose) == first_numbers(shared, purpose)


def test_several_pins_are_crossed_with_the_seeds_and_with_each_other() -> None:
    stack = seed_streams([7, 8], UNPINNED | {"data": [0, 1], "init": (2, 3), "shuffle": 9})
    seeds = [(member.seed, member.data, member.split, member.init, member.shuffle) for member in stack]
    assert seeds == [(own, data, own, init, 9) for own in (7, 8) for data in (0, 1) for init in (2, 3)]
    assert stack[0].pins == {"data": 0, "init": 2, "shuffle": 9}
    assert len({(*member.pins.items(), member.seed) for member in stack}) == 8


def test_one_seed_need_not_be_a_list_and_0_is_a_seed() -> None:
    assert seed_streams(0, UNPINNED) == seed_streams([0], {}) == [SeedStreams(0, 0, 0, 0, 0)]
    assert seed_streams(5, {"init": 0}) == [SeedStreams(5, 5, 5, 0, 5, pinned=("init",))]


@pytest.mark.parametrize("value", [-1, 2.5, [], [1, 1]])
def test_a_bad_pin_is_refused_by_name(value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        seed_streams([0], UNPINNED | {"init": value})
    assert [(problem.name, problem.value) for problem in caught.value.problems] == [("init", value)]


def test_all_bad_pins_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        seed_streams([0], {"data": -1, "split": 0, "init": None, "shuffle": 0.5})
    assert [problem.name for problem in caught.value.problems] == ["data", "shuffle"]


def test_an_unknown_purpose_is_an_error() -> None:
    with pytest.raises((AttributeError, ValueError)):
        seed_streams([0], UNPINNED)[0].generator("seed")


@hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds, seeds, st.sampled_from(PURPOSES), st.sampled_from(PURPOSES))
def test_two_streams_are_equal_only_if_seed_and_purpose_are(a: int, b: int, first: str, second: str) -> None:
    one, other = seed_streams([a, b], UNPINNED)
    same = one.generator(first).initial_seed() == other.generator(second).initial_seed()
    assert same == (a == b and first == second)


@pytest.mark.parametrize("purpose", PURPOSES[1:])
def test_a_seed_of_two_words_is_no_small_one_of_another_purpose(purpose: str) -> None:
    # As 32-bit words, (2**32 * purpose + 5, 0) reads 5, purpose, 0; so does (5, purpose) when padded with zeros.
    large, small = seed_streams([2**32 * PURPOSES.index(purpose) + 5, 5], UNPINNED)
    assert first_numbers(large, "data") != first_numbers(small, purpose)


@pytest.fixture
def parts_of(settings: Callable[..., dict[str, Any]]) -> Callable[..., Components]:
    """Return a function that builds what some seeds train with, and sets up their data."""

    def built(seed_list: list[int], *overrides: str) -> Components:
        config = settings("data.samples_per_class=10", "data.val_fraction=0.2", f"seed={seed_list}", *overrides)
        parts = build_components(config, stack(config))
        parts.datamodule.setup()
        return parts

    return built


def test_every_loss_gets_the_same_data_split_shuffles_and_trunk(parts_of: Callable[..., Components]) -> None:
    reference = parts_of([0, 4], "loss=ce")
    epochs = [[*iter(loader)] for loader in [reference.datamodule.train_dataloader()] for _ in range(2)]
    for loss in ("mse", "ce_softmax", "bce", "mse_onehot", "mse_sigmoid"):
        parts = parts_of([0, 4], f"loss={loss}", "optimizer=sgd")
        for name in ("train", "val", "test"):
            expected, split = getattr(reference.datamodule, name), getattr(parts.datamodule, name)
            assert torch.equal(split.x, expected.x)
            assert torch.equal(split.target, expected.target)
        loader = parts.datamodule.train_dataloader()
        for (expected_batches,) in epochs:
            (batches,) = loader
            for (x, target), (expected_x, expected_target) in zip(batches, expected_batches, strict=True):
                assert torch.equal(x, expected_x)
                assert torch.equal(target, expected_target)
        trunk, expected_trunk = parts.network.trunk.state_dict(), reference.network.trunk.state_dict()
        assert trunk.keys() == expected_trunk.keys()
        assert all(torch.equal(trunk[name], value) for name, value in expected_trunk.items())


@pytest.mark.parametrize("purpose", PURPOSES)
def test_pinning_fixes_its_own_part_of_a_run_and_no_other(purpose: str, parts_of: Callable[..., Components]) -> None:
    free, pinned = parts_of([1, 2]), parts_of([1, 2], f"seeds.{purpose}=9")

    def members(parts: Components) -> dict[str, torch.Tensor]:
        module = parts.datamodule
        samples = torch.cat([module.train.x, module.val.x, module.test.x], dim=1)  # (S, N, D)
        order = [stream.generator("shuffle").initial_seed() % 2**62 for stream in module.streams]
        return {
            "data": samples.sort(dim=1).values,
            "split": torch.cat([module.test.target, module.val.target, module.test.x[..., 0]], dim=1),
            "init": parts.network.head.weight,
            "shuffle": torch.tensor(order),
        }

    before, after = members(free), members(pinned)
    for name in PURPOSES:
        assert torch.equal(after[name][0], after[name][1]) == (name == purpose)
        assert torch.equal(before[name], after[name]) == (name != purpose)
