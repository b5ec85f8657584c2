"""A pool of worker processes that share a list of jobs."""

import contextlib
import multiprocessing
import os
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

from src.parallel.worker import JobResult, work

START_METHOD = "LOSSLAB_START_METHOD"  # environment variable: fork, spawn or forkserver
GRACE_SECONDS = 3.0  # until a worker that was dismissed or terminated is killed


class DeadWorkerError(CompactHydraException):
    """A worker process ended before its job did."""


def start_method() -> str:
    """Return how worker processes start: by ``fork`` on Linux, otherwise by ``spawn``, unless the user chose one.

    macOS has ``fork``, but its own libraries do not survive it.

    Raises:
        CompactHydraException: If the environment variable names a method that this system does not have.
    """
    chosen = os.environ.get(START_METHOD) or ("fork" if sys.platform == "linux" else "spawn")
    available = multiprocessing.get_all_start_methods()
    if chosen not in available:
        raise CompactHydraException(f"Expected `{START_METHOD}` to be one of {', '.join(available)}, got {chosen}.")
    return chosen


# ProcessPoolExecutor and joblib give up all of their workers when one dies. Here a dead worker costs only its own job.
class ProcessPool:
    """Runs jobs in worker processes, one at a time in each.

    With ``fork``, workers start with everything that this process has imported; otherwise each imports it once. When
    a worker dies, its job fails, and a new worker runs the remaining jobs.

    Args:
        execute: Runs one job from its number and the job; it is pickled for the workers.
        workers: Maximum number of processes at a time, at least 1.
    """

    def __init__(self, execute: Callable[[int, Any], Any], workers: int) -> None:
        self._payload = cloudpickle.dumps(execute)
        self._workers = workers
        self._context: Any = multiprocessing.get_context(start_method())
        self._running: dict[Connection, tuple[BaseProcess, int]] = {}

    def run(self, jobs: Sequence[Any], on_message: Callable[[int, Any], None]) -> list[JobResult]:
        """Run all jobs and return their results in order.

        Args:
            jobs: The jobs.
            on_message: Called with the number of a job and a ``StdoutChunk``, ``Progress`` or ``JobResult`` of it.
        """
        waiting = list(range(len(jobs)))[::-1]
        results: dict[int, JobResult] = {}
        try:
            for _ in range(min(self._workers, len(jobs))):
                self._start(waiting.pop(), jobs)
            while self._running:
                for channel in connection.wait(list(self._running)):
                    process, number = self._running[channel]  # type: ignore[index]
                    message = _receive(channel, process)  # type: ignore[arg-type]
                    on_message(number, message)
                    if isinstance(message, JobResult):
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
        """Send a worker its next job; end it if none is left, and replace it if it died."""
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
        """End the workers that still run, as after an interrupt of this process."""
        for process, _ in self._running.values():
            process.terminate()
        for process, _ in self._running.values():
            process.join(GRACE_SECONDS)
            process.kill()
            process.join()
        self._running.clear()


def _receive(channel: Connection, process: BaseProcess) -> Any:
    """Return the next message of a worker; that of a dead one is the failure of its job."""
    try:
        return pickle.loads(channel.recv_bytes())  # noqa: S301 - from a process that this one started
    except (EOFError, OSError):
        process.join()
        return JobResult(error=DeadWorkerError(f"{_death(process.exitcode)}; a rerun trains what it had not finished"))


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"The worker process ended with code {code}"
    name = signal.Signals(-code).name
    return f"The worker process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _dismiss(channel: Connection, process: BaseProcess) -> None:
    with contextlib.suppress(OSError):  # it has died already
        channel.send(None)
    process.join(GRACE_SECONDS)
    process.kill()
    channel.close()
