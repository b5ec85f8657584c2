"""The console that commands print to."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160  # enough for a path


@contextmanager
def console_output() -> Iterator[None]:
    r"""Let a command print to any console, and end quietly with exit code 1 when nobody reads it, as after ``| head``.

    What the encoding of a stream lacks is escaped, as ``\u03bb`` for a Greek letter. By default Python raises an error,
    which would end a command because of the name of a study or of a class.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.raiseExceptions = False  # a full disk or a closed pipe is reported once, not by every line of the log
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what the interpreter flushes in the end
        raise SystemExit(1) from None


def command_name(module: str) -> str:
    """Return how the running command was called: ``losslab ...``, or ``python -m`` and the name of its module."""
    return sys.argv[0] if sys.argv[0].startswith("losslab ") else f"python -m {module}"


def stdout() -> Console:
    """Return the console; wide enough for a path where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)
