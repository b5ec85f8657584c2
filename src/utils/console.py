"""The console that commands print to."""

from rich.console import Console


def stdout() -> Console:
    """Return the console; wide enough for a path where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
