"""Training alone: what a step of one network costs each peer, as wall-clock time of the whole machine."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from scripts.benchmark.peers.worker import Order
from scripts.benchmark.team import Team
from src.parallel.cpu import available_cpus, cpu_indices

STEPS = 26  # of an epoch: 128 points in mini-batches of 5
OURS = "losslab"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """Something that trains networks.

    Attributes:
        module: Its module in ``scripts.benchmark.peers``.
        title: What it is, in a few words.
        needs: A package that it needs beyond losslab's own, or None.
        threads: Threads where it trains in one process; None for its library's own choice.
        batched: Whether it trains many networks at once.
        chunk: Most networks in one batched computation where it trains in a process a core.
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
    """How the training is measured.

    Attributes:
        rounds: How many times each peer trains a stretch, in turn.
        before: Epochs before the first of them.
        epochs: Epochs of a stretch.
        overrides: Overrides of losslab's settings.
    """

    rounds: int
    before: int
    epochs: int
    overrides: tuple[str, ...] = ()

    @property
    def stretches(self) -> tuple[int, ...]:
        """The epochs of each stretch."""
        return self.before, *[self.epochs] * self.rounds


def absent(peers: Sequence[str]) -> dict[str, str]:
    """Return the peers whose package is not installed, and the package."""
    needs = {name: PEERS[name].needs for name in peers}
    return {name: package for name, package in needs.items() if package and importlib.util.find_spec(package) is None}


def teams(peer: str, size: int, plan: Plan) -> list[Team]:
    """Return the peer as one process, and as a process a core where there is more than one network to train.

    A peer that trains networks one at a time trains one in each process, which stands for all.
    """
    spec = PEERS[peer]
    one = range(size if spec.batched else 1)
    alone = Order(spec.module, tuple(one), plan.stretches, spec.threads, overrides=plan.overrides)
    result = [Team(f"{peer}, one process", [alone])]
    workers = min(available_cpus(), size)
    if workers > 1:
        available = cpu_indices() if spec.pinned else []
        orders = [
            Order(
                spec.module,
                tuple(range(size)[part::workers] if spec.batched else [part]),
                plan.stretches,
                threads=1,
                core=available[part] if available else None,
                chunk=spec.chunk,
                overrides=plan.overrides,
            )
            for part in range(workers)
        ]
        result.append(Team(f"{peer}, a process a core", orders))
    return result


def measure(peers: Sequence[str], size: int, plan: Plan, say: Progress) -> dict[str, Any]:
    """Return, for each form of each peer, us per step and network of each round, and the final mean loss.

    Args:
        peers: Names of peers whose packages are there.
        size: Networks S.
        plan: How to measure.
        say: Told what is being done.
    """
    with ExitStack() as stack:
        running: list[Team] = []
        for team in (team for peer in peers for team in teams(peer, size, plan)):
            say(f"S={size}: {team.name}, {plan.before} epochs before measuring")
            running.append(stack.enter_context(team))
        seconds: dict[str, list[float]] = {team.name: [] for team in running}
        for number in range(plan.rounds):
            say(f"S={size}: round {number + 1} of {plan.rounds}")
            for team in running:
                seconds[team.name].append(team.stretch())
        losses = {team.name: team.losses() for team in running}
    return {
        name: {
            "us": [1e6 * each / (plan.epochs * STEPS * len(losses[name])) for each in values],
            "networks": len(losses[name]),
            "loss": math.fsum(losses[name]) / len(losses[name]),
        }
        for name, values in seconds.items()
    }
