"""The console command ``losslab``: one name for the programs that are also run as ``python -m``."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from scripts.cli import Parser
from src.utils.console import console_output


class Command(NamedTuple):
    """A subcommand: a module with a function ``main``, and the arguments that go before those typed."""

    module: str
    help: str
    arguments: tuple[str, ...] = ()


COMMANDS = {
    "train": Command("src.train", "train the seeds of one condition"),
    "sweep": Command("src.train", "train every condition of a sweep", ("--multirun",)),
    "report": Command("scripts.aggregate", "write the tables, figures and the page of a study"),
    "grow": Command("scripts.grow", "train further seeds until every interval is narrow enough"),
    "evaluate": Command("src.evaluate", "measure a finished run again, or let it predict"),
    "inspect": Command("scripts.inspect", "show the columns of a table as training would take them"),
    "movie": Command("scripts.movie", "join the movies of several runs"),
    "convert": Command("scripts.convert", "store a study in a few files per stack, or in a directory per seed"),
    "plan": Command("scripts.plan.__main__", "predict the time, memory and disk of a sweep"),
    "benchmark": Command("scripts.benchmark.__main__", "measure the speed of training"),
    "examples": Command("scripts.worked_examples.__main__", "recompute the worked numbers of the lecture"),
}


@console_output()
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run a subcommand and return its exit code; its own arguments are left to it."""
    parser = Parser(
        prog="losslab",
        description="How much does the choice of loss and decision rule matter for a classifier?",
        epilog="`losslab COMMAND --help` explains a command; `python -m MODULE` runs the module in brackets.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        shown = f"{command.help} ({command.module.removesuffix('.__main__')})"
        subparsers.add_parser(name, help=shown)
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = parser.parse_args(words[:1]).command
    chosen = COMMANDS[name]
    sys.argv = [f"losslab {name}", *chosen.arguments, *words[1:]]
    code: int | None = importlib.import_module(chosen.module).main()
    return code


if __name__ == "__main__":
    sys.exit(main())
