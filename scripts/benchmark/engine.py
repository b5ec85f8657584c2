"""Training alone: the wall-clock time per step and network of each backend."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from scripts.benchmark.backends.worker import Assignment
from scripts.benchmark.worker_group import WorkerGroup
from src.parallel.cpu import available_cpus, cpu_indices

STEPS = 26  # of an epoch: 128 samples in mini-batches of 5
OURS = "losslab"
ENGINE, WIDE = "engine", "wide"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Backend:
    """Something that trains networks."""

    module: str  # its module in `scripts.benchmark.backends`
    title: str  # a description in a few words
    needs: str | None = None  # a package that it needs beyond losslab's own, or None
    threads: int | None = None  # threads where it trains in one process; None for its library's own choice
    batched: bool = True  # whether it trains many networks at once
    chunk: int | None = None  # maximum number of networks in one batched computation, for one process per core
    pinned: bool = False  # whether each of these processes stays on its core
    parts: tuple[str, ...] = (ENGINE, WIDE)  # parts of the benchmark that measure it by default


BACKENDS = {
    "loop": Backend("loop", "the lecture's loop", threads=1, batched=False),
    "lightning": Backend("plain_lightning", "LightningModule, DataLoader", threads=1, batched=False, parts=(ENGINE,)),
    "sklearn": Backend(
        "scikit_learn", "scikit-learn MLPClassifier", needs="sklearn", threads=1, batched=False, parts=(ENGINE,)
    ),
    "vmap": Backend("torch_vmap", "torch.func.vmap"),
    "compiled": Backend("compiled_vmap", "torch.compile of torch.func.vmap", parts=(WIDE,)),
    "jax": Backend("jax_scan", "JAX jit + vmap + scan", needs="jax", chunk=10, pinned=True),
    "jax_map": Backend("jax_map", "JAX jit + lax.map + scan", needs="jax", chunk=10, pinned=True, parts=(WIDE,)),
    OURS: Backend("losslab", "losslab", threads=1),
}


@dataclass(frozen=True)
class TimingPlan:
    """The rounds and epochs of a measurement."""

    rounds: int  # how many times each backend trains a segment, in turn
    before: int  # epochs before the first of them
    epochs: int  # epochs of a segment
    overrides: tuple[str, ...] = ()  # overrides of losslab's settings
    steps: int = STEPS  # of an epoch

    @property
    def segments(self) -> tuple[int, ...]:
        """The epochs of each segment."""
        return self.before, *[self.epochs] * self.rounds


def absent(backends: Sequence[str]) -> dict[str, str]:
    """Return the backends whose package is not installed, and the package."""
    needs = {name: BACKENDS[name].needs for name in backends}
    return {name: package for name, package in needs.items() if package and importlib.util.find_spec(package) is None}


def worker_groups(backend: str, size: int, plan: TimingPlan) -> list[WorkerGroup]:
    """Return the backend as one process, and as one process per core where there is more than one network to train.

    A backend that trains networks one at a time trains one in each process, which stands for all.
    """
    spec = BACKENDS[backend]
    one = range(size if spec.batched else 1)
    alone = Assignment(spec.module, tuple(one), plan.segments, spec.threads, overrides=plan.overrides)
    result = [WorkerGroup(f"{backend}, one process", [alone])]
    workers = min(available_cpus(), size)
    if workers > 1:
        available = cpu_indices() if spec.pinned else []
        assignments = [
            Assignment(
                spec.module,
                tuple(range(size)[part::workers] if spec.batched else [part]),
                plan.segments,
                threads=1,
                core=available[part] if available else None,
                chunk=spec.chunk,
                overrides=plan.overrides,
            )
            for part in range(workers)
        ]
        result.append(WorkerGroup(f"{backend}, one process per core", assignments))
    return result


def measure(backends: Sequence[str], size: int, plan: TimingPlan, report: Progress) -> dict[str, Any]:
    """Return, for each form of each backend, us per step and network of each round, and the final mean loss.

    Args:
        backends: Names of backends whose packages are there.
        size: Networks S.
        plan: How to measure.
        report: Receives a line on the current measurement.
    """
    with ExitStack() as stack:
        running: list[WorkerGroup] = []
        for group in (group for backend in backends for group in worker_groups(backend, size, plan)):
            report(f"S={size}: {group.name}, {plan.before} epochs before measuring")
            running.append(stack.enter_context(group))
        seconds: dict[str, list[float]] = {group.name: [] for group in running}
        for number in range(plan.rounds):
            report(f"S={size}: round {number + 1} of {plan.rounds}")
            for group in running:
                seconds[group.name].append(group.segment())
        losses = {group.name: group.losses() for group in running}
    return {
        name: {
            "us": [1e6 * each / (plan.epochs * plan.steps * len(losses[name])) for each in values],
            "networks": len(losses[name]),
            "loss": math.fsum(losses[name]) / len(losses[name]),
        }
        for name, values in seconds.items()
    }
