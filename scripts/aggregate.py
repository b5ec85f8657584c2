"""Report of one or more studies: tables, figures and pages. Reads files, never trains.

python -m scripts.aggregate outputs/hw4
"""

import argparse
import math
import sys
import webbrowser
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from scripts.cli import Parser, between
from src.analysis.collect import Collection, Progress, collect, without_progress
from src.analysis.comparison_groups import choose_baseline, name_methods
from src.analysis.comparisons import Plan
from src.analysis.findings import Findings, find
from src.analysis.growth import was_extended
from src.analysis.summary import ACCURACIES, BALANCED, has_unequal_classes
from src.report.figure_set import study_figures
from src.report.tables import summary_table
from src.report.write import PAGE, problem_lines, write_report
from src.utils.console import command_name, console_output
from src.utils.garbage_collector import garbage_collector_off

_MAX_LINES = 10  # per kind of problem on the console; problems.txt has all
_PLAIN_WIDTH = 160  # columns, without a terminal


class AggregateError(Exception):
    """The report cannot be written; the message is one line."""


@console_output()
@garbage_collector_off()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 if there is nothing to report."""
    options = _parser().parse_args(arguments)
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    try:
        out = _out_folder(options.studies, options.out)
        collection = collect_completed(options.studies, _progress(errors))
        findings = find(collection, chosen_metric(collection, options.metric), _plan(collection, options))
        drawn = study_figures(findings, _progress(errors))
        problems = {**findings.left_out, "left out of a figure": drawn.problems}
        write_report(out, findings, drawn, problems)
    except OSError as error:
        errors.print(f"aggregate: --out: cannot write to {out} ({error}); expected a folder that can be written")
        return 1
    except AggregateError as error:
        errors.print(f"aggregate: {' '.join(str(error).split())}")
        return 1
    _print_findings(findings)
    for line in problem_lines(problems, max_lines=_MAX_LINES):
        errors.print(line)
    where = f"{out} (in the first STUDY)" if len(options.studies) > 1 and options.out is None else out
    print(f"{len(collection.completed)} completed runs, {len(findings.summary)} conditions. Report: {where}")
    if options.open and not webbrowser.open((out / PAGE).resolve().as_uri()):
        errors.print(f"--open: no browser could be started; open {out / PAGE} yourself")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog=command_name("scripts.aggregate"),
        description="Report of one or more studies: tables, figures and pages. Reads files, never trains.",
        epilog="Writes report.html (self-contained), report.md and tables.tex; runs.csv (one row per run), "
        "summary.csv (one "
        "row per condition), comparisons.csv (one row per comparison), variance.csv, and problems.txt (what is left "
        "out, and why); and every figure as PNG, SVG and PDF. Example: python -m scripts.aggregate outputs/hw4",
    )
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help="folder of a study, as outputs/hw4")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: report/ in the first STUDY)")
    parser.add_argument(
        "--baseline",
        metavar="LOSS",
        help="loss that all others are compared with (default: ce if present, otherwise the first)",
    )
    parser.add_argument(
        "--alpha",
        type=between(0, 0.5, closed=True),
        default=Plan.alpha,
        metavar="A",
        help="error rate of intervals and of the corrected family of tests, in (0, 0.5] (default: %(default)s)",
    )
    parser.add_argument(
        "--margin",
        type=between(0, math.inf),
        metavar="POINTS",
        help="differences below it do not matter: test whether losses are equivalent within it (default: not tested)",
    )
    parser.add_argument(
        "--anytime",
        action=argparse.BooleanOptionalAction,
        help="tests and intervals that hold however the study grew, which are wider (default: if it was extended)",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="metric to compare, which also selects the median run of each scatter plot (default: "
        "population/accuracy, or test/accuracy if the distribution is unknown)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def _progress(console: Console) -> Progress:
    """Return a progress bar, which is shown on terminals only."""

    def show(folders: Sequence[Path], description: str) -> Iterable[Path]:
        return track(folders, description, console=console, transient=True, disable=not console.is_terminal)

    return show


def _out_folder(studies: Sequence[Path], out: Path | None) -> Path:
    if out is None and (studies[0] / "report").is_symlink():
        raise AggregateError(f"--out: {studies[0] / 'report'} is a link, which is not followed; expected a folder")
    out = studies[0] / "report" if out is None else out
    if out.exists() and not out.is_dir():
        raise AggregateError(f"--out: {out} is not a folder; expected a folder, or a path where one can be made")
    return out


def collect_completed(studies: Sequence[Path], progress: Progress = without_progress) -> Collection:
    """Read the studies, of which at least one run must have completed.

    Raises:
        AggregateError: If a study is not a folder, or none has a completed run.
    """
    for study in studies:
        if not study.is_dir():
            raise AggregateError(f"STUDY: {study} is not a folder; expected the folder of a study, as outputs/hw4")
    collection = collect(studies, progress)
    if collection.completed.empty:
        found = ", ".join(f"{len(lines)} {kind}" for kind, lines in collection.problems.items() if lines)
        first = next((lines[0] for lines in collection.problems.values() if lines), None)
        raise AggregateError(
            f"STUDY: {', '.join(map(str, studies))} holds no completed run "
            + (f"({found}; the first: {first})" if first else "(expected folders such as <condition>/seed=0)")
        )
    return collection


def chosen_metric(collection: Collection, name: str | None) -> str:
    """Return the requested metric, by default the most informative accuracy: the balanced one of unequal classes.

    Raises:
        AggregateError: If no run has it.
    """
    if name is None and has_unequal_classes(collection.completed):
        return BALANCED
    if name is None:
        return next((each for each in reversed(ACCURACIES) if each in collection.metrics), ACCURACIES[0])
    if name not in collection.metrics:
        raise AggregateError(f"--metric: {name} is in no run; expected one of {', '.join(collection.metrics)}")
    return name


def _plan(collection: Collection, options: argparse.Namespace) -> Plan:
    anytime = was_extended(options.studies, collection.completed) if options.anytime is None else options.anytime
    return chosen_plan(collection, options.baseline, options.alpha, options.margin, anytime=anytime)


def chosen_plan(
    collection: Collection, baseline: str | None, alpha: float, margin: float | None = None, *, anytime: bool
) -> Plan:
    """Return the parameters of the comparisons, with a baseline that exists.

    Raises:
        AggregateError: If it does not exist.
    """
    try:
        return Plan(choose_baseline(name_methods(collection.completed), baseline), alpha, margin, anytime)
    except ValueError as error:
        raise AggregateError(f"--baseline: {error}") from None


def _print_findings(findings: Findings) -> None:
    """Print the table of conditions, the answer and the notes."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    console = Console(markup=False, highlight=False, emoji=False, width=width)
    summary = findings.summary
    shown = [name for name in dict.fromkeys([ACCURACIES[0], findings.metric]) if f"{name} mean" in summary.columns]
    console.print(summary_table(summary, shown, 1 - findings.plan.alpha))
    for sentence in [*findings.answer, *findings.notes]:
        console.print(sentence, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
