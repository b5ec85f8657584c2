"""Prediction of the jobs, seconds, memory and disk of a sweep before it is run.

python -m scripts.plan 'loss=mse,ce classes=2,4 seed=range(100000)'
"""

import heapq
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.progress import track
from rich.table import Table

from scripts.cli import Parser, at_least_one
from src.config.cli import checked_composition, explain, override_problem
from src.parallel.cpu import available_cpus
from src.utils.console import command_name, console_output
from src.utils.fast_imports import import_lightning
from src.utils.validation import Problem, SettingsError, check

JOB_FILES = 32e3  # bytes of a job's configuration and log


@dataclass(frozen=True)
class Row:
    """The requirements of all jobs of one condition."""

    name: str  # the overrides of the condition
    jobs: int  # number of jobs
    seeds: int  # number of networks
    longest: float  # seconds of the longest job
    seconds: float  # seconds of all jobs, one after another
    memory: float  # peak bytes in memory of one process
    disk: float  # bytes on the disk


@dataclass(frozen=True)
class Prediction:
    """The requirements of a sweep."""

    rows: list[Row]  # the conditions
    workers: int  # number of workers
    shared: float  # bytes that each worker has in common with the others: what was imported before they were forked
    start_up: float  # seconds until the first job begins
    seconds: float  # seconds from the command to its end
    measured: float  # seconds for which the conditions were measured

    @property
    def memory(self) -> float:
        """Bytes in memory of all workers."""
        return self.shared + self.workers * (self.total.memory - self.shared)

    @property
    def total(self) -> Row:
        """The sum over the conditions; the longest job and the largest memory."""
        return Row(
            "all",
            sum(row.jobs for row in self.rows),
            sum(row.seeds for row in self.rows),
            max(row.longest for row in self.rows),
            sum(row.seconds for row in self.rows),
            max(row.memory for row in self.rows),
            sum(row.disk for row in self.rows),
        )


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 where a setting is wrong."""
    options = _parser().parse_args(arguments)
    errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    try:
        words = [word for text in options.overrides for word in _words(text)]
        check(override_problem(words))
        with checked_composition(words):
            prediction = predict(words, options.workers, errors)
    except (HydraException, OmegaConfBaseException) as error:
        errors.print(f"plan: {explain(error, words)}")
        return 1
    except SettingsError as error:
        errors.print(f"plan: {error}")
        return 1
    _print(prediction)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog=command_name("scripts.plan"),
        description="Predict the jobs, seconds, memory and disk of a sweep before it is run. Trains each condition for "
        "some seconds on this machine, four conditions in less than a minute, and extrapolates as if no seed was "
        "finished. Writes nothing.",
        epilog="Example: python -m scripts.plan 'loss=mse,ce classes=2,4 seed=range(100000)' --workers 64",
    )
    parser.add_argument(
        "overrides", nargs="+", metavar="SETTINGS", help="settings as after `python -m src.train --multirun`"
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="processes that train at the same time, each on a core like those of this machine (default: as many as "
        "the launcher starts here)",
    )
    return parser


def _words(text: str) -> list[str]:
    """Split a text as a shell would."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SettingsError(Problem("SETTINGS", f"words with quotes that close ({error})", text)) from None


def predict(words: Sequence[str], workers: int | None, progress: Console) -> Prediction:
    """Measure each condition of a sweep and add up its jobs.

    Args:
        words: The overrides of the sweep.
        workers: Number of processes that train at once; ``None`` for those of the launcher on this machine.
        progress: Where to show a progress bar.

    Raises:
        HydraException: If a setting cannot be composed.
        SettingsError: If a setting is wrong.
    """
    start_up = imports = _start_up()
    import_lightning()
    from scripts.plan.calibration import budget, calibrate  # torch takes seconds to import; --help does without
    from scripts.plan.jobs import plan_sweep

    sweep = plan_sweep(words, workers)
    count = min(sweep.batches[0].workers, max(len(batch.jobs) for batch in sweep.batches))
    stacks = [[batch.jobs[number] for number in stack] for batch in sweep.batches for stack in sweep.stacks(batch)]
    stack_of = {job.overrides: stack for stack in stacks for job in stack}
    rows: list[Row] = []
    seconds: dict[tuple[str, ...], float] = {}  # of each job, by its overrides
    conditions = sweep.conditions.values()
    budgeted = budget(len(conditions))
    progress.print(f"measuring {len(conditions)} conditions, about {2 * budgeted:.0f} s each on an idle machine")
    measuring = time.perf_counter()
    processes = min(count, available_cpus())
    for condition in track(conditions, "measuring", console=progress, transient=True, disable=not progress.is_terminal):
        sizes = [job.networks for job in condition.jobs]
        joined = [stack_of[job.overrides] for job in condition.jobs]
        largest = max(sum(job.networks for job in stack) for stack in joined)
        costs = calibrate(condition.settings, condition.choices, largest, processes, budgeted)
        process = costs.first + imports if sweep.launcher == "slurm" else 0.0  # which starts one per job
        durations = [
            process + sweep.compose(size) + costs.seconds(size) - costs.training(0) * (1 - 1 / len(stack))
            for size, stack in zip(sizes, joined, strict=True)
        ]
        seconds |= {job.overrides: duration for job, duration in zip(condition.jobs, durations, strict=True)}
        start_up += sum(map(sweep.compose, sizes))  # all are checked before the first begins
        rows.append(
            Row(
                condition.name,
                jobs=len(sizes),
                seeds=sum(sizes),
                longest=max(durations),
                seconds=sum(durations),
                memory=costs.peak(largest),
                disk=sum(JOB_FILES + costs.disk(size) for size in sizes),
            )
        )
    measured = time.perf_counter() - measuring
    shared = costs.inherited if sweep.launcher == "cores" else 0.0
    start_up += costs.first + (imports if sweep.launcher in ("joblib", "ray") else 0.0)  # once per worker
    span = 0.0
    for batch in sweep.batches:
        durations = [sum(seconds[batch.jobs[number].overrides] for number in stack) for stack in sweep.stacks(batch)]
        span += makespan(durations, batch.workers)
    return Prediction(rows, count, shared, start_up, start_up + span, measured)


def _start_up() -> float:
    """Return the seconds in which a command of losslab starts, the import of torch included."""
    program = (
        "from src.utils.fast_imports import import_lightning; import_lightning(); "
        "import src.train, src.experiments.runner"
    )
    command = [sys.executable, "-c", program]
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    return time.perf_counter() - started


def makespan(durations: Sequence[float], workers: int) -> float:
    """Return when the last job ends, if each job in turn goes to the worker that is free first.

    Example:
        >>> makespan([3.0, 1.0, 1.0, 2.0], workers=2)
        4.0
    """
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def _print(prediction: Prediction) -> None:
    """Print one row per condition, their sum, and the requirements of the machine."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table(box=box.SIMPLE if console.is_terminal else None)
    table.add_column("condition", overflow="fold")
    for name in ("jobs", "seeds", "longest job", "all jobs", "memory of a process", "disk"):
        table.add_column(name, justify="right")
    total = prediction.total
    for row in [*prediction.rows, *([total] if len(prediction.rows) > 1 else [])]:
        cells = (f"{row.jobs:,}", f"{row.seeds:,}", duration(row.longest), duration(row.seconds))
        table.add_row(row.name, *cells, decimal(round(row.memory)), decimal(round(row.disk)))
    console.print(table)
    workers = f"{prediction.workers} worker{'s' * (prediction.workers > 1)}"
    console.print(
        f"With {workers}: {duration(prediction.seconds)}, of which {duration(prediction.start_up)} until the first job "
        f"begins; {decimal(round(prediction.memory))} of memory; {decimal(round(total.disk))} on disk.",
        soft_wrap=True,
    )
    console.print(f"Measured on this machine in {duration(prediction.measured)}.")


def duration(seconds: float) -> str:
    """Return seconds as text.

    Example:
        >>> duration(3.14), duration(75), duration(200000)
        ('3.1 s', '0:01:15', '2 days, 7:33:20')
    """
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


if __name__ == "__main__":
    sys.exit(main())
