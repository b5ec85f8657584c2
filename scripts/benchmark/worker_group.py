"""The worker processes in which one backend trains, synchronized with the process that measures."""

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from scripts.benchmark.backends.worker import Assignment, run
from scripts.benchmark.command import BenchmarkError


class WorkerGroup:
    """Some workers that train parts of the same work at the same time.

    ``with`` starts all of them at the same time, and its body begins when each has trained its first segment.

    Args:
        name: The backend, for messages.
        assignments: The work of each worker; all with equal segments.
    """

    def __init__(self, name: str, assignments: Sequence[Assignment]) -> None:
        self.name = name
        self.assignments = assignments
        self.members: list[_Member] = []

    def __enter__(self) -> "WorkerGroup":
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit the threads of what is imported here
        with ExitStack() as on_failure:
            on_failure.callback(self._stop)
            for assignment in self.assignments:
                mine, theirs = spawn.Pipe()
                process = spawn.Process(target=run, args=(assignment, theirs), daemon=True)
                process.start()
                theirs.close()
                self.members.append(_Member(process, mine))
            self._reports()
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def segment(self) -> float:
        """Let all workers train their next segment and return the seconds until the last has done so."""
        started = time.perf_counter()
        self._resume()
        self._reports()
        return time.perf_counter() - started

    def losses(self) -> list[float]:
        """Return the final losses of all networks, once all segments are trained."""
        self._resume()
        return [loss for losses in self._reports() for loss in losses]

    def _resume(self) -> None:
        for member in self.members:
            with suppress(BrokenPipeError):  # of a worker that died, which _reports raises
                member.pipe.send(None)

    def _reports(self) -> list[list[float]]:
        reports: list[Any] = []
        for member in self.members:
            try:
                reports.append(member.pipe.recv())
            except EOFError:
                member.process.join()
                raise BenchmarkError(f"the backend {self.name} ended with code {member.process.exitcode}") from None
        for report in reports:
            if isinstance(report, str):
                raise BenchmarkError(f"the backend {self.name} failed: {report}")
        return reports

    def _stop(self) -> None:
        for member in self.members:
            member.pipe.close()
            member.process.terminate()
            member.process.join()


@dataclass(frozen=True)
class _Member:
    process: Any
    pipe: Connection
