"""The progress of the jobs of all workers, on one console."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from src.parallel.worker import JobResult, Progress, StdoutChunk


class Display:
    """One progress bar for all jobs and one for each stack that trains, below what they print, in a terminal only.

    Args:
        jobs: Number of jobs of each stack; a message has the number of the stack.
    """

    def __init__(self, jobs: Sequence[int]) -> None:
        console = Console()
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._jobs = jobs
        self._finished = self._bars.add_task("jobs", total=sum(jobs), note="")
        self._running: dict[int, TaskID] = {}

    def __enter__(self) -> "Display":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def on_message(self, number: int, message: Any) -> None:
        """Show a message of a stack."""
        match message:
            case StdoutChunk(stream, text):
                file = getattr(sys, stream)
                file.write(text)
                file.flush()
            case Progress(label, done, total, note):
                if number not in self._running:
                    self._running[number] = self._bars.add_task(label, total=total, note="")
                self._bars.update(self._running[number], description=label, completed=done, note=note)
            case JobResult():
                if number in self._running:
                    self._bars.remove_task(self._running.pop(number))
                self._bars.advance(self._finished, self._jobs[number])
