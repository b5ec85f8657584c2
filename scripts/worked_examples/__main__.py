"""Worked examples of the lecture: recomputed numbers against the printed ones, and loss surfaces.

python -m scripts.worked_examples
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from scripts.cli import Parser
from scripts.worked_examples.examples import Example, all_examples
from scripts.worked_examples.loss_surfaces import draw
from src.training.single_thread import single_threaded
from src.utils.console import command_name, console_output

_PLAIN_WIDTH = 200  # columns, without a terminal


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print every table and return 0, or 1 if a number differs from the expected one."""
    parser = Parser(prog=command_name("scripts.worked_examples"), description=__doc__)
    parser.add_argument("--out", type=Path, default="outputs/worked_examples", metavar="DIR", help="for figures")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    with single_threaded():
        examples = all_examples()
        for example in examples:
            console.print(_table(example))
        try:
            files = draw(options.out)
        except OSError as error:
            rule = f"a folder that can be written ({error.strerror})"
            print(f"worked_examples: --out: expected {rule}, got {options.out}", file=sys.stderr)
            return 1
    console.print(f"figures: {', '.join(map(str, files))}", soft_wrap=True)
    mismatches = [line for example in examples for line in example.mismatches]
    for line in mismatches:
        print(line, file=sys.stderr)
    return int(bool(mismatches))


def _table(example: Example) -> Table:
    table = Table(title=example.title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ["", *example.columns]:
        table.add_column(column, no_wrap=True)
    for name, numbers in example.rows.items():
        table.add_row(name, *map(str, numbers))
    return table


if __name__ == "__main__":
    sys.exit(main())
