"""Command-line parsing shared by the scripts."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog.rpartition('.')[2]}: {message}\n")


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def between(low: float, high: float, *, closed: bool = False) -> Callable[[str], float]:
    """Return a parser of numbers in (low, high), or (low, high] if ``closed``."""

    def read(text: str) -> float:
        allowed = f"a number in ({low:g}, {high:g}{']' if closed else ')'}"
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low < value < high or (closed and value == high)):
            raise argparse.ArgumentTypeError(f"expected {allowed}, got {text!r}")
        return value

    return read
