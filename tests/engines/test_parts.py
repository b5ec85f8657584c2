"""Networks whose parts have settings of the optimizer of their own."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR

from src.engines.base import Engine, StepRules
from src.engines.flat_parameters import FlatParameters
from src.engines.native import engine as native
from src.engines.select import select_engine
from src.losses.ce import CrossEntropy
from src.models.mlp import MLP
from src.training.schedulers import WarmupCosine
from src.training.single_thread import single_threaded
from tests.blocks import train_on

SEEDS = (3, 5, 4)  # of three parts
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any], list[dict[str, Any]]]] = {
    "adam": (Adam, {"fused": True}, [{"lr": 1e-2}, {"lr": 1e-3, "weight_decay": 0.1}, {"lr": 0.1, "eps": 1e-3}]),
    "adamw": (AdamW, {"fused": True}, [{"lr": 1e-2}, {"lr": 1e-3}, {"lr": 0.1, "weight_decay": 0.5}]),
    "slow_adam": (Adam, {}, [{"lr": 1e-2}, {"lr": 1e-3, "weight_decay": 0.1}, {"lr": 0.1, "eps": 1e-3}]),
    "sgd": (SGD, {"fused": True}, [{"lr": 1e-2}, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.2, "weight_decay": 0.1}]),
    "rmsprop": (RMSprop, {}, [{"lr": 1e-2}, {"lr": 1e-3}, {"lr": 1e-4, "weight_decay": 0.1}]),
}
SCHEDULERS: dict[str, Any] = {
    "none": None,
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, T_max=20),
    "step": lambda optimizer: StepLR(optimizer, step_size=3, gamma=0.3),
    "warmup": lambda optimizer: WarmupCosine(optimizer, total_steps=20, warmup=0.2),
}


def network(seeds: Sequence[int], activation: str = "relu") -> MLP:
    generators = [Generator().manual_seed(seed) for seed in seeds]
    return MLP(2, 2, generators, hidden=[20, 9], activation=activation, init="kaiming", init_std=0.02)


def epoch(seeds: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    x = torch.stack([torch.randn(23, 2, generator=Generator().manual_seed(seed)) for seed in seeds])
    target = (x.sum(-1) > 0).long()
    return list(zip(x.split(5, dim=1), target.split(5, dim=1), strict=True))


def train(engine: Engine, optimizer: Optimizer, scheduler: LRScheduler | None, seeds: Sequence[int]) -> Tensor:
    """Train four epochs with a step of the scheduler after each step, and return the outputs of the last, (S, N, O)."""
    optimizer._opt_called = True  # type: ignore[attr-defined]  # for schedulers, as engines take the steps
    for _ in range(4):
        schedule = []
        for _ in range(5 if scheduler else 0):
            schedule.append([{"lr": group["lr"]} for group in optimizer.param_groups])
            scheduler.step()  # type: ignore[union-attr]
        outputs = train_on(engine, epoch(seeds), schedule)
    return torch.cat(outputs, dim=1)


def trained(
    seeds: Sequence[Sequence[int]], optimizer: str, settings: Sequence[dict[str, Any]], scheduler: str, **engine: Any
) -> tuple[Tensor, Tensor, str]:
    """Return the weights, (S, P / S), the outputs of the last epoch, and the name of the engine."""
    together = [seed for part in seeds for seed in part]
    stack = network(together)
    flat = FlatParameters(stack, [len(part) for part in seeds])
    kind, shared, _ = OPTIMIZERS[optimizer]
    groups = [{"params": [part], **own} for part, own in zip(flat.parts, settings, strict=True)]
    built = kind(groups, **shared)  # type: ignore[call-arg]
    chosen = select_engine(stack, CrossEntropy(2), flat, built, **engine)
    make = SCHEDULERS[scheduler]
    outputs = train(chosen, built, make(built) if make else None, together)
    weights = torch.cat([parameter.detach().flatten(1) for parameter in stack.parameters()], dim=1)
    return weights, outputs, chosen.name


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [*((name, "none") for name in OPTIMIZERS), *(("adamw", name) for name in SCHEDULERS if name != "none")],
)
@pytest.mark.parametrize("engine", ["auto", "torch", "mixed", "clipped"])
@pytest.mark.parametrize("seeds", [SEEDS, (1, 1, 1)])
def test_each_part_ends_bit_for_bit_where_it_does_alone(
    seeds: Sequence[int], engine: str, optimizer: str, scheduler: str
) -> None:
    chosen: dict[str, dict[str, Any]] = {
        "auto": {},
        "torch": {"requested": "torch"},
        "mixed": {"mixed": True},
        "clipped": {"rules": StepRules(clip_norm=0.1, accumulate=1)},
    }
    settings = OPTIMIZERS[optimizer][2]
    members = [range(size) for size in seeds]
    with single_threaded():
        weights, outputs, name = trained(members, optimizer, settings, scheduler, **chosen[engine])
        start = 0
        for part, own in zip(members, settings, strict=True):
            alone, expected, name_alone = trained([part], optimizer, [own], scheduler, **chosen[engine])
            rows = slice(start, start := start + len(part))
            assert torch.equal(weights[rows], alone)
            assert torch.equal(outputs[rows], expected)
            assert name == name_alone
    assert not torch.equal(weights[0], weights[seeds[0]])  # the same seed with other settings


@pytest.mark.skipif(native.library()[0] is None, reason="there is no C compiler")
def test_parts_in_several_chunks_of_the_native_engine_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [range(size) for size in SEEDS]
    found = []
    for size in (2**30, 2**14, 1):
        monkeypatch.setattr(native, "MAX_CHUNK_BYTES", size)
        found.append(trained(members, "adam", OPTIMIZERS["adam"][2], "step"))
        assert found[-1][2] == "native"
    for weights, outputs, _ in found[1:]:
        assert torch.equal(weights, found[0][0])
        assert torch.equal(outputs, found[0][1])


def test_the_buffer_of_a_part_is_laid_out_as_that_of_the_part_alone() -> None:
    together, alone = network([0, 1, 2, 0, 1]), network([0, 1])
    flat, single = FlatParameters(together, [3, 2]), FlatParameters(alone)
    assert torch.equal(flat.parts[1], single.values)
    assert flat.part_starts(1)[together.head.weight] == single.part_starts(0)[alone.head.weight]
    assert single.parts == [single.values]
    flat.parts[1].data.mul_(2)
    flat.scatter()
    assert torch.equal(together.head.weight[3:], 2 * alone.head.weight)
    assert torch.equal(together.head.weight[:2], alone.head.weight)
    flat.values.data.zero_()
    flat.gather()
    assert not any(part.any() for part in flat.parts)
