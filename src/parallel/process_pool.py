"""A few processes that share a list of jobs."""

import contextlib
import multiprocessing
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle
from hydra.errors import CompactHydraException

from src.parallel.worker import Result, work

START_METHOD = "fork" if sys.platform == "linux" else "spawn"  # macOS forks, but its own libraries do not survive it
GRACE = 3.0  # seconds that a worker has to end when it is told to


class DeadWorkerError(CompactHydraException):
    """A worker process ended before its job did."""


class Pool:
    """Runs jobs in worker processes, one at a time in each.

    Where the system can fork safely, workers start with what this process has imported; elsewhere each imports it
    once. A worker that dies fails its own job, and a new one takes over the jobs that are left.

    Args:
        execute: Runs one job from its number and the job; it is pickled for the workers.
        workers: Most processes at once, at least 1.
        start_method: ``fork``, ``spawn`` or ``forkserver``.
    """

    def __init__(self, execute: Callable[[int, Any], Any], workers: int, start_method: str | None = None) -> None:
        self._payload = cloudpickle.dumps(execute)
        self._workers = workers
        self._context: Any = multiprocessing.get_context(start_method or START_METHOD)
        self._running: dict[Connection, tuple[BaseProcess, int]] = {}

    def run(self, jobs: Sequence[Any], heard: Callable[[int, Any], None]) -> list[Result]:
        """Run all jobs and return their results in order.

        Args:
            jobs: The jobs.
            heard: Is told what a job says: its number, and an ``Output``, ``Advance`` or ``Result``.
        """
        waiting = list(range(len(jobs)))[::-1]
        results: dict[int, Result] = {}
        try:
            for _ in range(min(self._workers, len(jobs))):
                self._start(waiting.pop(), jobs)
            while self._running:
                for channel in connection.wait(list(self._running)):
                    process, number = self._running[channel]  # type: ignore[index]
                    message = _receive(channel, process)  # type: ignore[arg-type]
                    heard(number, message)
                    if isinstance(message, Result):
                        results[number] = message
                        self._next(channel, process, waiting, jobs)  # type: ignore[arg-type]
        finally:
            self._end()
        return [results[number] for number in range(len(jobs))]

    def _start(self, number: int, jobs: Sequence[Any]) -> None:
        channel, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._payload))
        process.start()
        theirs.close()
        channel.send((number, jobs[number]))
        self._running[channel] = process, number

    def _next(self, channel: Connection, process: BaseProcess, waiting: list[int], jobs: Sequence[Any]) -> None:
        """Hand a worker its next job; end it where there is none, and replace it where it died."""
        del self._running[channel]
        if not waiting:
            _dismiss(channel, process)
        elif process.is_alive():
            number = waiting.pop()
            channel.send((number, jobs[number]))
            self._running[channel] = process, number
        else:
            channel.close()
            self._start(waiting.pop(), jobs)

    def _end(self) -> None:
        """End the workers that still run, as when this process was interrupted."""
        for process, _ in self._running.values():
            process.terminate()
        for process, _ in self._running.values():
            process.join(GRACE)
            process.kill()
            process.join()
        self._running.clear()


def _receive(channel: Connection, process: BaseProcess) -> Any:
    """Return what a worker says; a dead one says that its job failed."""
    try:
        return pickle.loads(channel.recv_bytes())  # noqa: S301 - of a process that this one has started
    except (EOFError, OSError):
        process.join()
        return Result(error=DeadWorkerError(f"{_death(process.exitcode)}; what it had not finished is left to do"))


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"The worker process ended with code {code}"
    name = signal.Signals(-code).name
    return f"The worker process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _dismiss(channel: Connection, process: BaseProcess) -> None:
    with contextlib.suppress(OSError):  # it is dead already
        channel.send(None)
    process.join(GRACE)
    process.kill()
    channel.close()
