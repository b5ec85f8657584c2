"""The console that commands print to."""

import _thread
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160  # enough for a path
SECONDS_OF_A_CALLBACK = 0.05  # after which it has returned
INTERRUPTED = 130  # exit code of a command that Ctrl-C ended


@contextmanager
def console_output() -> Iterator[None]:
    r"""Let a command print to any console, and end it with one line after Ctrl-C.

    It ends quietly with exit code 1 when nobody reads it, as after ``| head``. What the encoding of a stream lacks is
    escaped, as ``\u03bb`` for a Greek letter. By default Python raises an error, which would end a command because of
    the name of a study or of a class.

    Raises:
        SystemExit: With code 130 after Ctrl-C, and with code 1 when nobody reads.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.raiseExceptions = False  # a full disk or a closed pipe is reported once, not by every line of the log
    before, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    try:
        try:
            yield
        finally:
            sys.unraisablehook = before
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        print(f"Interrupted. {error}".rstrip(), file=sys.stderr)
        exec("")  # noqa: S102 - where Ctrl-C came inside an exec, CPython ends by the signal unless one ran since
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what the interpreter flushes in the end
        raise SystemExit(1) from None


def _interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Report what a callback raised, or repeat the Ctrl-C that it swallowed, as those of Python's imports do."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(SECONDS_OF_A_CALLBACK, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def command_name(module: str) -> str:
    """Return how the running command was called: ``losslab ...``, or ``python -m`` and the name of its module."""
    return sys.argv[0] if sys.argv[0].startswith("losslab ") else f"python -m {module}"


def stdout() -> Console:
    """Return the console; wide enough for a path where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)
