"""Measure on this machine, in a few seconds, what training the seeds of a condition costs."""

import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from src.config.instantiate import build_components, build_trainer
from src.experiments.condition import Condition
from src.experiments.train_stack import train_stack
from src.parallel.process_pool import start_method
from src.training.fit import fit
from src.training.history import Training
from src.training.single_thread import single_threaded
from src.utils.seed_streams import seed_streams

LARGEST = 256  # seeds that are trained to measure; what more of them cost grows in proportion
FEW = 5  # seeds whose files are written
RESOLVED = 0.2  # seconds that a measurement takes at least
REPEATS = 3  # of each measurement
LONGEST = 0.5  # seconds for which seeds are trained before their files are written


@dataclass(frozen=True)
class Line:
    """A quantity that is linear in the seeds of a job."""

    constant: float
    slope: float

    @classmethod
    def through(cls, points: dict[int, float]) -> "Line":
        """Return the line through two points, or through one and the origin; it never falls."""
        (low, at_low), (high, at_high) = min(points.items()), max(points.items())
        slope = max(0.0, (at_high - at_low) / (high - low)) if high > low else 0.0
        return cls(at_high - slope * high, slope)

    def __call__(self, seeds: int) -> float:
        """Return the quantity for a job of so many seeds."""
        return self.constant + self.slope * seeds


@dataclass(frozen=True)
class Costs:
    """What a job of a condition costs.

    Attributes:
        first: Seconds that the first job of a process takes beyond the others.
        start: Seconds to build a stack and to begin to fit it.
        epoch: Seconds of an epoch.
        epochs: Number of epochs.
        write: Seconds to evaluate and write the seeds.
        inherited: Bytes in memory of a process that has just begun: what was imported before it was forked.
        memory: Most bytes in memory after a few epochs.
        memory_epoch: Bytes that each seed keeps of each epoch.
        disk: Bytes on the disk.
    """

    first: float
    start: Line
    epoch: Line
    epochs: int
    write: Line
    inherited: float
    memory: Line
    memory_epoch: float
    disk: Line

    def seconds(self, seeds: int) -> float:
        """Return how long a job takes."""
        return self.start(seeds) + self.epochs * self.epoch(seeds) + self.write(seeds)

    def peak(self, seeds: int) -> float:
        """Return the most bytes that the process of a job needs."""
        return self.memory(seeds) + self.memory_epoch * seeds * max(0, self.epochs - 2)


def calibrate(settings: dict[str, Any], choices: dict[str, str], largest: int, processes: int) -> Costs:
    """Measure the costs of a condition in one or more processes at once, which slow each other as workers would.

    Args:
        settings: The resolved settings.
        choices: The choices of the config groups.
        largest: Seeds of the largest job.
        processes: Number of processes.
    """
    sizes, few, epochs = _sizes(largest), (1, min(FEW, largest)), settings["trainer"]["max_epochs"]
    # Every process is a fresh one, so that its peak memory tells of one thing alone.
    with multiprocessing.get_context(start_method()).Pool(processes, maxtasksperchild=1) as pool:
        fits = _mean(pool.starmap(_measure_fits, [(settings, sizes)] * processes, chunksize=1))
        epoch = fits["epoch"][0] * min(1, few[-1] / sizes[0])
        affordable = min(epochs, max(6, int(LONGEST / max(epoch, 1e-9))))
        writes = _mean(pool.starmap(_measure_writes, [(settings, choices, few, affordable)] * processes, chunksize=1))
    memory = _line(sizes, fits["memory"])
    return Costs(
        first=max(0.0, fits["cold"] - fits["warm"]),
        start=_line(sizes, fits["start"]),
        epoch=_line(sizes, fits["epoch"]),
        epochs=epochs,
        write=_line(few, writes["seconds"]),
        inherited=fits["inherited"],
        memory=Line(memory.constant + max(0.0, writes["memory"] - memory(few[-1])), memory.slope),
        memory_epoch=fits["memory_epoch"],
        disk=_line(few, writes["disk"]),
    )


def _mean(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([sample[name] for sample in samples], axis=0).tolist() for name in samples[0]}


def _line(sizes: Sequence[int], values: Sequence[float]) -> Line:
    return Line.through(dict(zip(sizes, values, strict=True)))


def _sizes(largest: int) -> tuple[int, int]:
    """Return two numbers of seeds between which training is interpolated, and beyond which it is extrapolated."""
    high = min(largest, LARGEST)
    return math.ceil(high / 2), high


def _measure_fits(settings: dict[str, Any], sizes: Sequence[int]) -> dict[str, Any]:
    """Measure how long stacks of two sizes take to start and to fit, and the memory that they need."""
    inherited = _peak()
    _silence()
    epochs = settings["trainer"]["max_epochs"]
    with single_threaded():
        cold, warm = _fit(settings, 1, 1), _fit(settings, 1, 1)
        start, epoch, memory = [], [], []
        for size in sizes:
            more = 6
            while _fit(settings, size, more) < RESOLVED and more < epochs:
                more = min(3 * more, epochs)
            # The least of some: what else the machine does for a moment only ever adds.
            two, many = (min(_fit(settings, size, length) for _ in range(REPEATS)) for length in (2, more))
            memory.append(_peak())
            epoch.append(max(0.0, (many - two) / (more - 2)))
            start.append(max(0.0, two - 2 * epoch[-1]))
        kept = _kept(settings)
    seconds = {"cold": cold, "warm": warm, "start": start, "epoch": epoch}
    return seconds | {"inherited": inherited, "memory": memory, "memory_epoch": kept}


def _measure_writes(
    settings: dict[str, Any], choices: dict[str, str], sizes: Sequence[int], affordable: int
) -> dict[str, Any]:
    """Measure how long a few seeds take to evaluate and to write, the memory that this needs, and their bytes.

    Seconds and bytes grow with the epochs in proportion: where all would take too long, they are told from fewer.
    """
    _silence()
    epochs = settings["trainer"]["max_epochs"]
    lengths = [epochs] if affordable == epochs else [affordable // 2, affordable]
    _write(settings, choices, 1, 1)  # the first imports what draws
    seconds: list[float] = []
    disk: list[float] = []
    for size in sizes:
        pairs = [min(_write(settings, choices, size, length) for _ in range(2)) for length in lengths]
        for kept, values in zip((seconds, disk), zip(*pairs, strict=True), strict=True):
            kept.append(Line.through(dict(zip(lengths, values, strict=True)))(epochs))
    return {"seconds": seconds, "disk": disk, "memory": _peak()}


def _silence() -> None:
    """Keep the progress bars of this process off the console."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fit(settings: dict[str, Any], seeds: int, epochs: int) -> float:
    """Return the seconds that building and fitting a stack takes."""
    started = time.perf_counter()
    _trainings(settings, seeds, epochs)
    return time.perf_counter() - started


def _trainings(settings: dict[str, Any], seeds: int, epochs: int) -> list[Training]:
    shorter = settings | {"trainer": settings["trainer"] | {"max_epochs": epochs}}
    parts = build_components(shorter, seed_streams(list(range(seeds)), {}))
    trainings = fit(parts.classifier, parts.datamodule, build_trainer(shorter, []))
    parts.classifier.release()
    return trainings


def _kept(settings: dict[str, Any]) -> float:
    """Return the bytes that each seed keeps of each epoch: its losses and metrics, which exist twice at the end.

    The memory of the process, which grows in larger steps, does not tell so little.
    """
    epochs = 10
    (training,) = _trainings(settings, 1, epochs)
    return 2 * (training.step_loss.nbytes + training.history.memory_usage(index=False).sum()) / epochs


def _write(settings: dict[str, Any], choices: dict[str, str], seeds: int, epochs: int) -> tuple[float, float]:
    members = seed_streams(list(range(seeds)), {})
    shorter = settings | {"seed": list(range(seeds)), "trainer": settings["trainer"] | {"max_epochs": epochs}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "condition")
        folder.mkdir()
        started = time.perf_counter()
        results = train_stack(Condition(folder, shorter, choices, []), members)
        seconds = time.perf_counter() - started
        trained = next(iter(results.values())).seconds
        return max(0.0, seconds - trained), on_disk(folder)


def on_disk(folder: Path) -> float:
    """Return the bytes on the disk of a folder and all below it, in whole blocks where the system counts them."""
    found = [path.lstat() for path in [folder, *folder.rglob("*")]]
    return float(sum(512 * stat.st_blocks if hasattr(stat, "st_blocks") else stat.st_size for stat in found))


def _peak() -> float:
    """Return the most bytes of memory that this process has had, or 0 where the system does not report them."""
    if resource is None:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)
