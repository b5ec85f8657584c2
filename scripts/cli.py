"""The command lines of the scripts."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage, and end the program with code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end the program."""
        self.exit(2, f"{self.prog.rpartition('.')[2]}: {message}\n")


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)
