"""Commands as a user runs them: in another folder, in their own process; and helpers to read what they leave."""

import json
import locale
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="sends a signal that Windows does not have")
CONSOLE = os.environ.get("PYTHONIOENCODING") or locale.getpreferredencoding(False)  # what a Python process writes in
# Of data=noisy_cubic, the default; other data have other settings of their size.
SHORT = ("trainer.max_epochs=2", "data.samples_per_class=10", "figures=none")


@dataclass(frozen=True)
class Finished:
    """The result of a command."""

    code: int
    out: str
    err: str


def run(module: str, *arguments: str, folder: Path, code: int | None = 0) -> Finished:
    """Run ``python -m module`` in a folder and check its exit code, unless that is None."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding=CONSOLE, errors="replace", timeout=300)
    assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return Finished(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(command: Sequence[str | Path], folder: Path, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a command in a folder, yield its process and kill it in the end.

    Ctrl-C reaches it also where this process ignores it, as one does that a shell has started in the background.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": CONSOLE, "errors": "replace"} | options
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child would inherit SIG_IGN
    try:
        process = subprocess.Popen(command, cwd=folder, **pipes)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.kill()


def parametrize(names: str, values: Sequence[Any], quick: int) -> pytest.MarkDecorator:
    """Parametrize a test; its first cases run in ``make test``, the others in ``make integration``."""
    several = "," in names
    late = [pytest.param(*(value if several else (value,)), marks=pytest.mark.integration) for value in values[quick:]]
    return pytest.mark.parametrize(names, [*values[:quick], *late])


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Return what a condition returns as soon as that is true; fail after some seconds, which only bound a hang."""
    for _ in range(int(seconds / 0.05)):
        if value := condition():
            return value
        time.sleep(0.05)
    return pytest.fail(f"nothing came within {seconds} s")


def is_running(pid: int | str) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def results(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Return all results.json below a folder by condition and seed, but what a killed process had not finished."""
    paths = [path for path in sorted(folder.glob("**/results.json")) if not path.parent.name.startswith(".")]
    found = [json.loads(path.read_text()) for path in paths]
    return {(content["condition"], content["seed"]): content for content in found}


def files(folder: Path) -> set[str]:
    """Return the paths of all files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
