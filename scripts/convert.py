"""Conversion of a study between a directory per seed and a few files per stack.

python -m scripts.convert outputs/hw4 --to table
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.cli import Parser
from src.config.schema import storage_problem
from src.storage.schema import ArtifactError
from src.utils.console import command_name, console_output


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 where something could not be converted."""
    parser = Parser(
        prog=command_name("scripts.convert"),
        description="Store a study in a few files per stack, or in a directory per seed, as storage=table and "
        "storage=files do. No file is lost, and nothing is removed before all that takes its place is written.",
        epilog="Example: python -m scripts.convert outputs/hw4 --to table",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of a study, as outputs/hw4")
    parser.add_argument("--to", choices=("table", "files"), required=True, help="how it is stored then")
    options = parser.parse_args(arguments)
    if problem := storage_problem("--to", options.to):
        parser.error(str(problem))
    if not options.study.is_dir():
        parser.error(f"{options.study} is not a folder")
    from src.experiments.convert import to_files, to_tables  # torch takes seconds to import

    convert = to_tables if options.to == "table" else to_files
    total, problems = 0, []
    try:
        for condition in sorted(path for path in options.study.iterdir() if path.is_dir() and not path.is_symlink()):
            count, lines = convert(condition)
            total += count
            problems += lines
            if count:
                print(f"{condition}: {count} seeds", flush=True)
    except ArtifactError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"cannot write {error.filename or options.study} ({error.strerror or error})")
    for line in problems:
        print(f"convert: {' '.join(line.split())}", file=sys.stderr)
    print(f"{total} seeds were converted, and are stored with storage={options.to}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
