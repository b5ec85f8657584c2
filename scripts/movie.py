"""Movies of several runs beside each other, as GIF and as a page with a slider.

python -m scripts.movie outputs/hw4/CONDITION/seed=0 outputs/hw4/OTHER/seed=0 --out compared
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.cli import Parser
from src.plotting.movie import png, read_gif, side_by_side, write_gif, write_page
from src.storage.schema import FIGURES, files_beside
from src.utils.console import command_name, console_output


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 where a movie is missing or a file cannot be written."""
    parser = Parser(
        prog=command_name("scripts.movie"),
        description="Join the movies of runs that were trained with figures=movie.",
        epilog="Example: python -m scripts.movie outputs/hw4/CONDITION/seed=0 outputs/hw4/OTHER/seed=0 --out compared",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a seed, from left to right")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="of movie.gif and movie.html (default: here)"
    )
    options = parser.parse_args(arguments)
    try:
        movies = {
            # study, condition and seed
            "/".join(run.resolve().parts[-3:]): read_gif(files_beside(run) / FIGURES / "movie.gif")
            for run in options.runs
        }
        if len(movies) < len(options.runs):
            raise ValueError(f"expected runs of different names, got {' '.join(map(str, options.runs))}")
        joined = side_by_side(movies)
        options.out.mkdir(parents=True, exist_ok=True)
        for path in (
            write_gif(options.out / "movie.gif", joined),
            write_page(
                options.out / "movie.html", " | ".join(movies), {epoch: png(each) for epoch, each in joined.items()}
            ),
        ):
            print(path)
    except ValueError as error:
        print(f"movie: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"movie: cannot write {error.filename} ({error.strerror})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
