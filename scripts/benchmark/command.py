"""Whole commands: their wall-clock seconds, the peak memory of all their processes, and their output."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLING_SECONDS = 0.25  # between two samples of the memory
MIN_PAUSE = 20  # between two samples, as a multiple of the time of one, for which the command is held up


class BenchmarkError(Exception):
    """A measurement failed; the message is one line."""


@dataclass(frozen=True)
class Finished:
    """The result of a command."""

    seconds: float  # wall-clock time, start-up included
    memory: int  # peak memory of all its processes together, in bytes, sampled up to four times a second
    output: str  # its standard output and error


def run(module: str, *arguments: str) -> Finished:
    """Run ``python -m module`` in an empty folder.

    Raises:
        BenchmarkError: If it fails.
    """
    return run_together([(module, *arguments)])[0]


def run_together(commands: Sequence[Sequence[str]]) -> list[Finished]:
    """Run some ``python -m`` commands at the same time, each in an empty folder.

    Raises:
        BenchmarkError: If one of them fails; the message ends with its last line of output.
    """
    running = [_Running(command) for command in commands]
    return [each.wait() for each in running]


class _Running:
    """A command that runs, and a thread that samples its memory."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.folder = tempfile.TemporaryDirectory()
        self.out = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - read and closed in wait
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder.name,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=self.out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # which identifies its children
        )
        self.memory = 0
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def _watch(self) -> None:
        took = 0.0
        while not self.ended.wait(max(SAMPLING_SECONDS, MIN_PAUSE * took)):
            started = time.perf_counter()
            self.memory = max(self.memory, memory_of_session(self.process.pid))
            took = time.perf_counter() - started

    def wait(self) -> Finished:
        """Wait for the end, and raise if the exit code is not 0."""
        _, status, usage = os.wait4(self.process.pid, 0)
        seconds, self.process.returncode = time.perf_counter() - self.started, os.waitstatus_to_exitcode(status)
        self.ended.set()
        self.watcher.join()
        with self.out, self.folder:
            self.out.seek(0)
            output = self.out.read()
        if self.process.returncode != 0:
            lines = [line for line in output.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
            last = [*lines[-1:], "no output"][0]
            raise BenchmarkError(f"{' '.join(self.command)} ended with code {self.process.returncode}: {last}")
        # On Linux ru_maxrss includes the parent's memory before exec, so it is only a fallback.
        largest = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Finished(seconds, self.memory or largest, output)


def memory_of_session(leader: int) -> int:
    """Return the memory of all processes of a session in bytes, shared pages once; 0 without /proc."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            session = int(process.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[3])
            if session == leader:
                sizes = process.joinpath("smaps_rollup").read_text(encoding="utf-8")
                total += 1024 * int(sizes.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError):
            continue  # it has ended since
    return total
