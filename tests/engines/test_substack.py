"""Some networks of a stack trained alone, which learn what they learn among all, while the others stay as they are."""

from functools import partial

import pytest
import torch
from torch import Generator, nn
from torch.optim import SGD, Adam, AdamW

from src.engines.base import NO_RULES, StepRules
from src.engines.flat_parameters import FlatParameters
from src.engines.select import select_engine
from src.engines.substack import Stack, Substack
from src.losses.ce import CrossEntropy
from src.losses.class_weighted import class_weighted
from src.models.custom import Custom
from src.models.mlp import MLP
from tests.blocks import train_on

OPTIMIZERS = {
    "adam": partial(Adam, lr=0.05, fused=True),
    "adamw": partial(AdamW, lr=0.05, weight_decay=0.1, amsgrad=True),
    "sgd": partial(SGD, lr=0.05),
    "momentum": partial(SGD, lr=0.05, momentum=0.9),
}
SEEDS, SOME = 5, torch.tensor([0, 3, 4])


def generators() -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in range(SEEDS)]


def perceptrons() -> MLP:
    return MLP(2, 3, generators(), hidden=[7, 50], activation="relu", init="kaiming", init_std=0.02)


class Dropping(nn.Sequential):
    """A network with numbers of its own in buffers, and with random ones."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(
            nn.Linear(in_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, out_features)
        )


def dropping() -> Custom:
    return Custom(2, 3, generators(), network=Dropping)


def stacked(network, optimizer):
    flat = FlatParameters(network)
    return Stack(network, flat, optimizer([flat.values]))


def engine(stack, objective, rules=NO_RULES):
    return select_engine(stack.network, objective, stack.flat, stack.optimizer, rules=rules)


def batches(steps, sizes=(5, 3)):
    generator = Generator().manual_seed(1)
    return [
        (torch.randn(SEEDS, size, 2, generator=generator), torch.randint(3, (SEEDS, size), generator=generator))
        for _ in range(steps)
        for size in sizes
    ]


def of_some(samples):
    return [(x[SOME], target[SOME]) for x, target in samples]


def state(stack):
    """Return all that a step changes, as rows of seeds, and what they share."""
    by_seed, shared = stack.flat.split_state(stack.optimizer.state[stack.flat.values])
    rows = {"values": stack.flat.rows(stack.flat.values.detach()), **by_seed, **dict(stack.network.named_buffers())}
    drawn = getattr(stack.network, "random_states", [])
    return {name: value.clone() for name, value in rows.items()} | dict(enumerate(drawn)), shared


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("make", [perceptrons, dropping])
@pytest.mark.parametrize("rules", [NO_RULES, StepRules(clip_norm=0.1), StepRules(accumulate=2)], ids=str)
def test_steps_of_some_are_those_among_all(name, make, rules):
    objective = class_weighted(CrossEntropy(3), lambda: torch.arange(15.0).view(SEEDS, 3) + 1)
    make_engine = partial(engine, rules=rules)
    whole, parted = stacked(make(), OPTIMIZERS[name]), stacked(make(), OPTIMIZERS[name])
    first, second = batches(2), batches(4)[4:]
    for each in (whole, parted):
        train_on(make_engine(each, objective), first)
    others, _ = state(parted)
    expected = train_on(make_engine(whole, objective), second)

    part = Substack(parted, objective, SOME, OPTIMIZERS[name], make_engine)
    outputs = train_on(part, of_some(second[:2])) + train_on(part, of_some(second[2:]))
    rounded = {"rtol": 1e-5, "atol": 1e-6} if make is dropping else {"rtol": 0, "atol": 0}
    for mine, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(mine, theirs[SOME], **rounded)
    (found, shared), (trained, all_shared) = state(parted), state(whole)
    assert found.keys() == trained.keys()
    assert shared == all_shared
    for key, value in found.items():
        if isinstance(key, int):  # the random state of a seed
            assert torch.equal(value, (trained if key in SOME else others)[key])
            continue
        torch.testing.assert_close(value[SOME], trained[key][SOME], **rounded)
        assert torch.equal(value[[1, 2]], others[key][[1, 2]])


def test_what_a_callback_changes_in_the_whole_is_trained_on():
    whole, parted = (stacked(perceptrons(), OPTIMIZERS["adam"]) for _ in range(2))
    part = Substack(parted, CrossEntropy(3), SOME, OPTIMIZERS["adam"], engine)
    first, second = batches(1), batches(2)[2:]
    train_on(engine(whole, CrossEntropy(3)), first)
    train_on(part, of_some(first))
    for each in (whole, parted):
        each.flat.values.data.mul_(0.5)
        each.optimizer.param_groups[0]["lr"] = 0.01
    train_on(engine(whole, CrossEntropy(3)), second)
    train_on(part, of_some(second))
    assert torch.equal(state(parted)[0]["values"][SOME], state(whole)[0]["values"][SOME])


def test_values_of_some_are_spread_among_all():
    part = Substack(stacked(perceptrons(), OPTIMIZERS["sgd"]), CrossEntropy(3), SOME, OPTIMIZERS["sgd"], engine)
    assert part.spread(torch.tensor([[1, 2, 3]])).nan_to_num(-1).tolist() == [[1, -1, -1, 2, 3]]
    assert part.spread(torch.tensor([0.5, 1, 2])).dtype == torch.float32
