"""Training alone: the wall-clock time per step and network of each peer."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from scripts.benchmark.peers.worker import Assignment
from scripts.benchmark.worker_group import WorkerGroup
from src.parallel.cpu import available_cpus, cpu_indices

STEPS = 26  # of an epoch: 128 samples in mini-batches of 5
OURS = "losslab"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """Something that trains networks.

    Attributes:
        module: Its module in ``scripts.benchmark.peers``.
        title: A description in a few words.
        needs: A package that it needs beyond losslab's own, or None.
        threads: Threads where it trains in one process; None for its library's own choice.
        batched: Whether it trains many networks at once.
        chunk: Maximum number of networks in one batched computation, for one process per core.
        pinned: Whether each of these processes stays on its core.
    """

    module: str
    title: str
    needs: str | None = None
    threads: int | None = None
    batched: bool = True
    chunk: int | None = None
    pinned: bool = False


PEERS = {
    "loop": Peer("loop", "the lecture's loop", threads=1, batched=False),
    "lightning": Peer("plain_lightning", "LightningModule, DataLoader", threads=1, batched=False),
    "sklearn": Peer("scikit_learn", "scikit-learn MLPClassifier", needs="sklearn", threads=1, batched=False),
    "vmap": Peer("torch_vmap", "torch.func.vmap"),
    "jax": Peer("jax_scan", "JAX jit + vmap + scan", needs="jax", chunk=10, pinned=True),
    OURS: Peer("losslab", "losslab", threads=1),
}


@dataclass(frozen=True)
class Plan:
    """The rounds and epochs of a measurement.

    Attributes:
        rounds: How many times each peer trains a segment, in turn.
        before: Epochs before the first of them.
        epochs: Epochs of a segment.
        overrides: Overrides of losslab's settings.
    """

    rounds: int
    before: int
    epochs: int
    overrides: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[int, ...]:
        """The epochs of each segment."""
        return self.before, *[self.epochs] * self.rounds


def absent(peers: Sequence[str]) -> dict[str, str]:
    """Return the peers whose package is not installed, and the package."""
    needs = {name: PEERS[name].needs for name in peers}
    return {name: package for name, package in needs.items() if package and importlib.util.find_spec(package) is None}


def worker_groups(peer: str, size: int, plan: Plan) -> list[WorkerGroup]:
    """Return the peer as one process, and as one process per core where there is more than one network to train.

    A peer that trains networks one at a time trains one in each process, which stands for all.
    """
    spec = PEERS[peer]
    one = range(size if spec.batched else 1)
    alone = Assignment(spec.module, tuple(one), plan.segments, spec.threads, overrides=plan.overrides)
    result = [WorkerGroup(f"{peer}, one process", [alone])]
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
        result.append(WorkerGroup(f"{peer}, one process per core", assignments))
    return result


def measure(peers: Sequence[str], size: int, plan: Plan, report: Progress) -> dict[str, Any]:
    """Return, for each form of each peer, us per step and network of each round, and the final mean loss.

    Args:
        peers: Names of peers whose packages are there.
        size: Networks S.
        plan: How to measure.
        report: Receives a line on the current measurement.
    """
    with ExitStack() as stack:
        running: list[WorkerGroup] = []
        for group in (group for peer in peers for group in worker_groups(peer, size, plan)):
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
            "us": [1e6 * each / (plan.epochs * STEPS * len(losses[name])) for each in values],
            "networks": len(losses[name]),
            "loss": math.fsum(losses[name]) / len(losses[name]),
        }
        for name, values in seconds.items()
    }
