"""Measurement, on this machine and in a few seconds, of the cost of training the seeds of a condition."""

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

MAX_SEEDS = 256  # that are trained to measure; the cost of more grows in proportion
MIN_SEEDS = 16  # down to which that number is halved where training is slow
WRITTEN_SEEDS = 5  # whose files are written
MIN_EPOCHS = 6  # of the longer of two trainings whose difference is the time of an epoch
RESOLUTION = 0.2  # seconds that the longer one takes at least
MAX_REPEATS = 3  # of each measurement, while there is time
MIN_BUDGET, MAX_BUDGET = 1.0, 8.0  # seconds for one condition


@dataclass(frozen=True)
class Line:
    """A quantity that is linear in the seeds of a job."""

    constant: float
    slope: float

    @classmethod
    def through(cls, points: dict[int, float]) -> "Line":
        """Return the line through two points, or through one and the origin; it neither falls nor starts below 0."""
        (low, at_low), (high, at_high) = min(points.items()), max(points.items())
        slope = max(0.0, (at_high - at_low) / (high - low)) if high > low else 0.0
        slope = min(slope, max(0.0, at_high / high))  # steeper is noise, which would make the constant negative
        return cls(at_high - slope * high, slope)

    def steeper(self, slope: float) -> "Line":
        """Return a line with an additional slope."""
        return Line(self.constant, self.slope + slope)

    def __call__(self, seeds: int) -> float:
        """Return the quantity for a job of so many seeds."""
        return self.constant + self.slope * seeds


@dataclass(frozen=True)
class Costs:
    """The cost of a job of a condition."""

    first: float  # additional seconds of the first job of a process
    start: Line  # seconds to build a stack and to begin to fit it
    epoch: Line  # seconds of an epoch
    epochs: int  # number of epochs
    write: Line  # seconds to evaluate and write the seeds
    inherited: float  # bytes in memory of a process that has just started: what was imported before it was forked
    memory: Line  # peak bytes in memory after a few epochs
    memory_epoch: float  # bytes that each seed keeps per epoch
    disk: Line  # bytes on the disk

    def seconds(self, seeds: int) -> float:
        """Return how long a job takes."""
        return self.training(seeds) + self.write(seeds)

    def training(self, seeds: int) -> float:
        """Return how long the training of a stack takes; that of no seeds is what each stack takes beside its seeds."""
        return self.start(seeds) + self.epochs * self.epoch(seeds)

    def peak(self, seeds: int) -> float:
        """Return the peak bytes in memory of the process of a job."""
        return self.memory(seeds) + self.memory_epoch * seeds * max(0, self.epochs - 2)


@dataclass(frozen=True)
class _Written:
    """The cost of the files of some seeds: seconds, bytes on the disk in whole blocks, and bytes written."""

    seconds: float
    on_disk: float
    written: int


def budget(conditions: int, total: float = 20.0) -> float:
    """Return the CPU seconds for which each of some conditions is measured.

    CPU seconds, as a busy machine needs measurements of the same length, for which it takes longer.

    Example:
        >>> budget(1), budget(4), budget(1000)
        (8.0, 5.0, 1.0)
    """
    return min(MAX_BUDGET, max(MIN_BUDGET, total / conditions))


def calibrate(settings: dict[str, Any], choices: dict[str, str], largest: int, processes: int, seconds: float) -> Costs:
    """Measure the costs of a condition in one or more processes at the same time, which slow each other as workers do.

    Args:
        settings: The resolved settings.
        choices: The choices of the config groups.
        largest: Seeds of the largest job.
        processes: Number of processes.
        seconds: CPU seconds of each process. Where they are few, fewer seeds are trained, and fewer times.
    """
    few, epochs = (1, min(WRITTEN_SEEDS, largest)), settings["trainer"]["max_epochs"]
    # Every process is a fresh one, so that its peak memory is that of one measurement.
    with multiprocessing.get_context(start_method()).Pool(processes, maxtasksperchild=1) as pool:
        sizes = pool.apply(_sizes, (settings, largest, seconds / 2))
        fits = _mean(pool.starmap(_measure_fits, [(settings, sizes, seconds / 2)] * processes, chunksize=1))
        shortest = fits["epoch"][0] * min(1, few[-1] / sizes[0])
        affordable = min(epochs, max(MIN_EPOCHS, int(seconds / 20 / max(shortest, 1e-9))))
        writes = _mean(pool.starmap(_measure_writes, [(settings, choices, few, affordable)] * processes, chunksize=1))
    memory, epoch = _line(sizes, fits["memory"]), _line(sizes, fits["epoch"])
    left = epochs - affordable
    # Writing an epoch takes less than the epoch did, whatever the noise of a short measurement.
    write_epoch = min(writes["seconds_epoch"], fits["epoch"][-1] / sizes[-1])
    return Costs(
        first=max(0.0, fits["cold"] - fits["warm"]),
        start=_line(sizes, fits["start"]),
        epoch=epoch,
        epochs=epochs,
        write=_line(few, writes["seconds"]).steeper(write_epoch * left),
        inherited=fits["inherited"],
        memory=Line(memory.constant + max(0.0, writes["memory"] - memory(few[-1])), memory.slope),
        memory_epoch=fits["memory_epoch"],
        disk=_line(few, writes["disk"]).steeper(writes["disk_epoch"] * left),
    )


def _mean(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([sample[name] for sample in samples], axis=0).tolist() for name in samples[0]}


def _line(sizes: Sequence[int], values: Sequence[float]) -> Line:
    return Line.through(dict(zip(sizes, values, strict=True)))


def _sizes(settings: dict[str, Any], largest: int, seconds: float) -> tuple[int, int]:
    """Return two numbers of seeds between which training is interpolated, and beyond which it is extrapolated.

    They are as large as the seconds allow for two trainings of each.
    """
    high = min(largest, MAX_SEEDS)
    sample = min(high, MIN_SEEDS)
    with single_threaded():
        _fit(settings, 1, 1)
        started = time.process_time()
        _fit(settings, sample, 2)
        epoch_of_one = (time.process_time() - started) / (2 * sample)
    while high > MIN_SEEDS and 1.5 * high * (2 + MIN_EPOCHS) * epoch_of_one > seconds:
        high //= 2
    return math.ceil(high / 2), high


def _measure_fits(settings: dict[str, Any], sizes: Sequence[int], seconds: float) -> dict[str, Any]:
    """Measure how long stacks of two sizes take to start and to fit, and the memory that they need."""
    inherited = _peak()
    _silence()
    deadline = time.process_time() + seconds
    epochs = settings["trainer"]["max_epochs"]
    with single_threaded():
        cold, warm = _fit(settings, 1, 1), _fit(settings, 1, 1)
        start, epoch, memory = [], [], []
        for left, size in zip((2, 1), sizes, strict=True):
            due = time.process_time() + (deadline - time.process_time()) / left
            more = MIN_EPOCHS
            many = _fit(settings, size, more)
            while many < RESOLUTION and more < epochs:
                more = min(3 * more, epochs)
                many = _fit(settings, size, more)
            two = _fit(settings, size, 2)
            # The minimum of some repeats, as other programs only ever add to it.
            for _ in range(MAX_REPEATS - 1):
                if time.process_time() > due:
                    break
                two, many = min(two, _fit(settings, size, 2)), min(many, _fit(settings, size, more))
            memory.append(_peak())
            epoch.append(max(0.0, (many - two) / (more - 2)))
            start.append(max(0.0, two - 2 * epoch[-1]))
        kept = _kept(settings)
    measured = {"cold": cold, "warm": warm, "start": start, "epoch": epoch}
    return measured | {"inherited": inherited, "memory": memory, "memory_epoch": kept}


def _measure_writes(
    settings: dict[str, Any], choices: dict[str, str], sizes: Sequence[int], affordable: int
) -> dict[str, Any]:
    """Measure how long a few seeds take to evaluate and to write, the memory that this needs, and their bytes.

    Where all epochs would take too long, fewer are trained, and the seconds and bytes of each further epoch of a seed
    are measured by training half as many.
    """
    _silence()
    epochs = settings["trainer"]["max_epochs"]
    _write(settings, choices, 1, 1)  # imports matplotlib
    written = [_write(settings, choices, size, affordable) for size in sizes]
    measured: dict[str, Any] = {
        "seconds": [each.seconds for each in written],
        "disk": [each.on_disk for each in written],
        "seconds_epoch": 0.0,
        "disk_epoch": 0.0,
        "memory": _peak(),
    }
    if affordable < epochs:
        half = _write(settings, choices, sizes[-1], affordable // 2)
        trained = (affordable - affordable // 2) * sizes[-1]  # epochs of all seeds
        measured["seconds_epoch"] = max(0.0, written[-1].seconds - half.seconds) / trained
        # Bytes that were written grow evenly with the epochs, while those on the disk grow by blocks.
        measured["disk_epoch"] = (written[-1].written - half.written) / trained
    return measured


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
    """Return the bytes that each seed keeps per epoch: its losses and metrics, which exist twice at the end.

    The memory of the process grows in steps that are larger than these.
    """
    epochs = 10
    (training,) = _trainings(settings, 1, epochs)
    return 2 * (training.step_loss.nbytes + training.history.memory_usage(index=False).sum()) / epochs


def _write(settings: dict[str, Any], choices: dict[str, str], seeds: int, epochs: int) -> _Written:
    """Train some seeds, and measure the cost of their files beyond the training."""
    members = seed_streams(list(range(seeds)), {})
    shorter = settings | {"seed": list(range(seeds)), "trainer": settings["trainer"] | {"max_epochs": epochs}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "condition")
        folder.mkdir()
        started = time.perf_counter()
        results = train_stack(Condition(folder, shorter, choices, []), members)
        seconds = time.perf_counter() - started
        trained = next(iter(results.values())).seconds
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return _Written(max(0.0, seconds - trained), on_disk(folder), written)


def on_disk(folder: Path) -> float:
    """Return the bytes on the disk of a folder and all below it, in whole blocks where the system counts them."""
    found = [path.lstat() for path in [folder, *folder.rglob("*")]]
    return float(sum(512 * stat.st_blocks if hasattr(stat, "st_blocks") else stat.st_size for stat in found))


def _peak() -> float:
    """Return the peak memory of this process in bytes, or 0 where the system does not report them."""
    if resource is None:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)
