"""Comparison of GPU and CPU: losslab's engine on both, with more and more networks."""

import math
import subprocess
import sys
from typing import Any

from scripts.benchmark.backends.worker import Assignment
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.engine import OURS, STEPS, Progress, TimingPlan, worker_groups
from scripts.benchmark.worker_group import WorkerGroup

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
MAX_ON_CPU = 10_000  # networks; from a few hundred networks on, a CPU's cost of a network does not change
PLAN = TimingPlan(rounds=3, before=2, epochs=4)
PROBE = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


def gpu_name() -> str:
    """Return the name of the GPU.

    Raises:
        BenchmarkError: If torch sees none.
    """
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    if not done.stdout.strip():
        raise BenchmarkError("--accelerator gpu needs a CUDA device, and torch sees none here")
    return done.stdout.strip()


def measure(device: str, quick: bool, report: Progress) -> dict[str, Any]:
    """Return us per step and network by size, on the GPU and on all cores, and where the GPU overtakes."""
    plan = TimingPlan(1, 1, 1) if quick else PLAN
    sizes = SIZES[:3] if quick else SIZES
    cost: dict[str, dict[int, list[float]]] = {"gpu": {}, "cpu": {}}
    for size in sizes:
        on_gpu = Assignment(OURS, tuple(range(size)), plan.segments, overrides=("trainer.accelerator=gpu",))
        report(f"S={size:,} on the GPU")
        cost["gpu"][size] = _train(WorkerGroup("losslab on the GPU", [on_gpu]), size, plan)
        if size <= MAX_ON_CPU:
            report(f"S={size:,} on the CPU")
            cost["cpu"][size] = _train(worker_groups(OURS, size, plan)[-1], size, plan)
    fastest = {kind: {size: min(values) for size, values in of.items()} for kind, of in cost.items()}
    return {"device": device, **cost, "overtakes": crossing(fastest["cpu"], fastest["gpu"])}


def _train(group: WorkerGroup, size: int, plan: TimingPlan) -> list[float]:
    with group:
        seconds = [group.segment() for _ in range(plan.rounds)]
        group.losses()
    return [1e6 * each / (plan.epochs * STEPS * size) for each in seconds]


def crossing(cpu: dict[int, float], gpu: dict[int, float]) -> float | None:
    """Return the number of networks from which on the GPU costs less, by a line in log-log between two sizes.

    Where the CPU was not measured, its cost at the largest size stands.

    Example:
        >>> round(crossing({1: 10.0, 100: 10.0}, {1: 100.0, 100: 1.0}))
        10
    """
    last = cpu[max(cpu)]
    ahead = {size: math.log(gpu[size] / cpu.get(size, last)) for size in sorted(gpu)}  # below 0 where the GPU wins
    before: int | None = None
    for size, gap in ahead.items():
        if gap < 0:
            if before is None:
                return float(size)
            share = ahead[before] / (ahead[before] - gap)
            return math.exp(math.log(before) + share * math.log(size / before))
        before = size
    return None
