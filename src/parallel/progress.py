"""What the jobs of all workers say, on one console."""

import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from src.parallel.worker import Advance, Output, Result, reporter


class Display:
    """A bar for the jobs and one for each that runs, below what they print; where there is no terminal, no bars.

    In a worker it hands all that it hears on to the display of the process that started the worker.

    Args:
        jobs: Number of jobs.
        label: What the jobs are, in the plural.
    """

    def __init__(self, jobs: int, label: str = "jobs") -> None:
        console = Console()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self._progress = Progress(
            *columns, console=console, disable=not console.is_terminal or reporter() is not None, transient=True
        )
        self._jobs = self._progress.add_task(label, total=jobs, note="")
        self._bars: dict[int, TaskID] = {}

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def heard(self, number: int, message: Any) -> None:
        """Show what a job says."""
        match message:
            case Output(stream, text):
                file = getattr(sys, stream)
                file.write(text)
                file.flush()
            case Advance(label, done, total, note):
                if (report := reporter()) is not None:
                    report(label, done, total, note)
                    return
                if number not in self._bars:
                    self._bars[number] = self._progress.add_task(label, total=total, note="")
                self._progress.update(self._bars[number], description=label, completed=done, note=note)
            case Result():
                if number in self._bars:
                    self._progress.remove_task(self._bars.pop(number))
                self._progress.advance(self._jobs)
