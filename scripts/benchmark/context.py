"""The context of a measurement: versions, hardware, and the load by other programs."""

import os
import platform
from pathlib import Path
from time import perf_counter, strftime
from typing import Any

from src.parallel.cpu import available_cpus
from src.utils.versions import versions

CPUINFO, STAT = Path("/proc/cpuinfo"), Path("/proc/stat")
IDLE = (3, 4)  # of the columns of /proc/stat: idle, waiting for a disk


class Context:
    """Describes a measurement that begins now.

    Args:
        quick: Whether it is a short one, whose numbers are not compared with the targets.
    """

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.started, self.busy, self.ours = perf_counter(), busy_seconds(), own_seconds()

    def describe(self) -> dict[str, Any]:
        """Return the context; ``others`` is the share of all cores that other programs used."""
        elapsed = (perf_counter() - self.started) * (os.cpu_count() or 1)
        used = (busy_seconds() - self.busy) - (own_seconds() - self.ours)
        import torch  # takes seconds, which --help does not need

        return {
            "quick": self.quick,
            "others": max(0.0, used / elapsed),
            "commit": versions()["commit"],
            "when": strftime("%Y-%m-%d %H:%M"),
            "cores": available_cpus(),
            "processor": processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "python": platform.python_version(),
            "torch": versions()["torch"],
        }


def busy_seconds() -> float:
    """Return how long all cores together have computed since the system started; 0 without /proc/stat."""
    if not STAT.exists():
        return 0.0
    ticks = [int(word) for word in STAT.read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return sum(value for column, value in enumerate(ticks) if column not in IDLE) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return how long this process and its ended children have computed."""
    return sum(os.times()[:4])


def processor() -> str:
    """Return the processor's name as far as it is known."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
