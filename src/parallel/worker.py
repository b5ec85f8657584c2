"""A worker process: it runs the jobs that it receives, one after another, until it receives None."""

import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
from hydra.errors import CompactHydraException

Reporter = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class StdoutChunk:
    """Text that a job wrote to one of its standard streams, ``stdout`` or ``stderr``."""

    stream: str
    text: str


@dataclass(frozen=True)
class Progress:
    """The number of steps that a job has done."""

    label: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class JobResult:
    """The result of a job: its return value, or its error."""

    value: Any = None
    error: Exception | None = None


_reporter: Reporter | None = None


def reporter() -> Reporter | None:
    """Return the function that reports a job's progress (label, done, total, note), or None outside of a worker.

    In a worker a job must not draw a progress bar itself: several jobs share the terminal, and the process that
    started the workers draws for all.
    """
    return _reporter


def work(channel: Connection, payload: bytes) -> None:
    """Run jobs until None is received, or the process that started this one has ended.

    Args:
        channel: Receives pairs (number, job), or None at the end; sends ``StdoutChunk``, ``Progress``, ``JobResult``.
        payload: The pickled function that runs a job from its number and the job.
    """
    global _reporter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(message: StdoutChunk | Progress) -> None:
        channel.send_bytes(pickle.dumps(message))

    sys.stdout, sys.stderr = _Stream("stdout", send), _Stream("stderr", send)
    _reporter = lambda *progress: send(Progress(*progress))  # noqa: E731
    execute = cloudpickle.loads(payload)
    while (job := channel.recv()) is not None:
        result = _run(execute, *job)
        sys.stdout.flush()
        sys.stderr.flush()
        channel.send_bytes(result)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _run(execute: Callable[[int, Any], Any], number: int, job: Any) -> bytes:
    """Run a job and return its pickled ``JobResult``, whatever it returned or raised."""
    try:
        result = JobResult(execute(number, job))
    except Exception as error:
        result = JobResult(error=error)
    except SystemExit as stop:
        result = JobResult(error=CompactHydraException(f"The job exited: {stop}"))
    try:
        # Classes by value where necessary: Hydra imports its plugins anew, and pickle does not find those again.
        pickled: bytes = cloudpickle.dumps(result)
        pickle.loads(pickled)  # noqa: S301 - pickled by the line above
    except Exception as error:
        reason = result.error or error
        pickled = pickle.dumps(JobResult(error=RuntimeError(f"{type(reason).__name__}: {reason}")))
    return pickled


class _Stream(io.TextIOBase):
    """A standard stream that sends its lines to the launcher; a terminal if the stream that it replaces was one."""

    def __init__(self, name: str, send: Callable[[StdoutChunk], None]) -> None:
        self._name = name
        self._send = send
        self._pending: list[str] = []
        self._terminal = getattr(sys, name).isatty()

    def write(self, text: str) -> int:
        self._pending.append(text)
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._send(StdoutChunk(self._name, text))

    def isatty(self) -> bool:
        return self._terminal

    def writable(self) -> bool:
        return True
