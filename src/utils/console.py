"""The console that commands print to."""

import io
import sys

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160  # enough for a path


def tolerate_unprintable() -> None:
    r"""Let the standard streams escape what their encoding lacks, as ``\u03bb`` for a Greek letter.

    By default they raise an error, which would end a command because of the name of a study or of a class.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def command_name(module: str) -> str:
    """Return how the running command was called: ``losslab ...``, or ``python -m`` and the name of its module."""
    return sys.argv[0] if sys.argv[0].startswith("losslab ") else f"python -m {module}"


def stdout() -> Console:
    """Return the console; wide enough for a path where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)
