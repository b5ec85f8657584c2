"""What happens inside a worker process: it runs the jobs that it is handed until it is told to stop."""

import contextlib
import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
from hydra.errors import CompactHydraException

Report = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Output:
    """Text that a job wrote to one of its standard streams."""

    stream: str
    text: str


@dataclass(frozen=True)
class Advance:
    """How far a job is."""

    label: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class Result:
    """How a job ended: what it returned, or what it raised."""

    value: Any = None
    error: Exception | None = None


@dataclass
class _Here:
    """What the code of a job may ask of the process that it runs in."""

    report: Report | None = None
    cores: int = 1


_here = _Here()


def reporter() -> Report | None:
    """Return how a job tells its progress (label, done, total, note), or None outside of a worker.

    In a worker a job must not draw a bar of its own: several jobs share the terminal, and one display draws for all.
    """
    return _here.report


def cores() -> int:
    """Return how many processes the running job may start to share its work."""
    return _here.cores


@contextlib.contextmanager
def granted(number: int) -> Iterator[None]:
    """Let the job that the body runs have some cores."""
    before, _here.cores = _here.cores, number
    try:
        yield
    finally:
        _here.cores = before


def work(channel: Connection, payload: bytes) -> None:
    """Run jobs until None comes, or the process that started this one is gone.

    Args:
        channel: Brings a pair (number, job), or None at the end; takes ``Output``, ``Advance`` and ``Result``.
        payload: The pickled function that runs a job from its number and the job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(message: Output | Advance) -> None:
        channel.send_bytes(pickle.dumps(message))

    sys.stdout, sys.stderr = _Stream("stdout", send), _Stream("stderr", send)
    _here.report = lambda *progress: send(Advance(*progress))
    _here.cores = 1
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
    """Run a job and return its pickled ``Result``, whatever it returned or raised."""
    try:
        result = Result(execute(number, job))
    except Exception as error:
        result = Result(error=error)
    except SystemExit as stop:
        result = Result(error=CompactHydraException(f"The job ended itself: {stop}"))
    try:
        # By value where it must: Hydra imports its plugins anew, and pickle does not know their classes again.
        pickled: bytes = cloudpickle.dumps(result)
        pickle.loads(pickled)  # noqa: S301 - what was pickled a moment ago
    except Exception as error:
        reason = result.error or error
        pickled = pickle.dumps(Result(error=RuntimeError(f"{type(reason).__name__}: {reason}")))
    return pickled


class _Stream(io.TextIOBase):
    """A standard stream whose lines go to the launcher; it is a terminal if the one that it replaces was."""

    def __init__(self, name: str, send: Callable[[Output], None]) -> None:
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
            self._send(Output(self._name, text))

    def isatty(self) -> bool:
        return self._terminal

    def writable(self) -> bool:
        return True
