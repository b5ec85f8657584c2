"""Turn the runs of one or more studies into tables and figures. Reads files, never trains.

python -m scripts.aggregate outputs/hw4
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import track

from src.analysis.collect import Collection, Progress, collect
from src.analysis.summary import ACCURACIES, summarize
from src.report.files import replacing_file
from src.report.study import StudyFigures, study_figures
from src.report.style import FORMATS, save
from src.report.tables import summary_table, write_csv

_MOST_LINES = 10  # of one kind of problem on the console; problems.txt has them all
_PLAIN_WIDTH = 160  # of the table where there is no terminal


class AggregateError(Exception):
    """What was asked for cannot be done; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 where nothing could be reported."""
    options = _parser().parse_args(arguments)
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    try:
        out = _out_folder(options.studies, options.out)
        collection = _collect(options.studies, _progress(errors))
        metric = _metric(collection, options.metric)
        summary = summarize(collection.runs, [*ACCURACIES, metric])
        drawn = study_figures(collection.completed, metric, _progress(errors))
        problems = {**collection.problems, "left out of a figure": drawn.problems}
        _write_report(out, collection, summary, drawn, problems)
    except AggregateError as error:
        errors.print(f"aggregate: {' '.join(str(error).split())}")
        return 1
    _print_summary(summary, metric)
    for line in _problem_lines(problems, most=_MOST_LINES):
        errors.print(line)
    where = f"{out} (in the first STUDY)" if len(options.studies) > 1 and options.out is None else out
    print(f"{len(collection.completed)} completed runs, {len(summary)} conditions. Report: {where}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.aggregate",
        description="Turn the runs of one or more studies into tables and figures. Reads files, never trains.",
        epilog="Writes runs.csv (a row a seed), summary.csv (a row a condition), problems.txt (runs that failed, are "
        "missing or cannot be read), and the figures accuracy, loss_curves and scatter as PNG, SVG and PDF. "
        "Example: python -m scripts.aggregate outputs/hw4",
    )
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help="folder of a study, as outputs/hw4")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: report/ in the first STUDY)")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="metric that the table shows and that chooses the median seed of each scatter plot (default: "
        "population/accuracy, or test/accuracy where no law is known)",
    )
    return parser


def _progress(console: Console) -> Progress:
    """Return a progress bar on a terminal, and nothing elsewhere."""

    def show(folders: Sequence[Path], description: str) -> Iterable[Path]:
        return track(folders, description, console=console, transient=True, disable=not console.is_terminal)

    return show


def _out_folder(studies: Sequence[Path], out: Path | None) -> Path:
    for study in studies:
        if not study.is_dir():
            raise AggregateError(f"STUDY: {study} is not a folder; expected the folder of a study, as outputs/hw4")
    out = studies[0] / "report" if out is None else out
    if out.exists() and not out.is_dir():
        raise AggregateError(f"--out: {out} is not a folder; expected a folder, or a path where one can be made")
    return out


def _collect(studies: Sequence[Path], progress: Progress) -> Collection:
    """Read the studies; at least one run must have completed."""
    collection = collect(studies, progress)
    if collection.completed.empty:
        found = ", ".join(f"{len(lines)} {kind}" for kind, lines in collection.problems.items() if lines)
        first = next((lines[0] for lines in collection.problems.values() if lines), None)
        raise AggregateError(
            f"STUDY: {', '.join(map(str, studies))} holds no completed run "
            + (f"({found}; the first: {first})" if first else "(expected folders such as <condition>/seed=0)")
        )
    return collection


def _metric(collection: Collection, name: str | None) -> str:
    """Return the metric asked for, else the accuracy that says most."""
    if name is None:
        return next((each for each in reversed(ACCURACIES) if each in collection.metrics), ACCURACIES[0])
    if name not in collection.metrics:
        raise AggregateError(f"--metric: {name} is in no run; expected one of {', '.join(collection.metrics)}")
    return name


def _write_report(
    out: Path,
    collection: Collection,
    summary: pd.DataFrame,
    drawn: StudyFigures,
    problems: Mapping[str, Sequence[str]],
) -> None:
    """Write all files; a figure that could not be drawn leaves no older one behind."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(collection.runs, out / "runs.csv")
        write_csv(summary, out / "summary.csv")
        for name, figure in drawn.figures.items():
            if figure is not None:
                save(figure, out / name)
            else:
                for kind in FORMATS:
                    (out / f"{name}.{kind}").unlink(missing_ok=True)
        with replacing_file(out / "problems.txt") as scratch:
            scratch.write_text("\n".join([*_problem_lines(problems)] or ["none"]) + "\n", encoding="utf-8")
    except OSError as error:
        raise AggregateError(f"--out: cannot write to {out} ({error}); expected a folder that can be written") from None


def _print_summary(summary: pd.DataFrame, metric: str) -> None:
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    console = Console(markup=False, highlight=False, emoji=False, width=width)
    shown = [name for name in dict.fromkeys([ACCURACIES[0], metric]) if f"{name} mean" in summary.columns]
    console.print(summary_table(summary, shown))


def _problem_lines(problems: Mapping[str, Sequence[str]], most: int | None = None) -> Iterator[str]:
    """Yield a heading for each kind of problem that there is, and its lines, at most ``most`` of them."""
    for kind, lines in problems.items():
        if lines:
            yield f"{kind} ({len(lines)}):"
            yield from (f"  {line}" for line in lines[:most])
        if most is not None and len(lines) > most:
            yield f"  and {len(lines) - most} more, see problems.txt"


if __name__ == "__main__":
    sys.exit(main())
