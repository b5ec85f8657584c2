"""Everything that a report leaves on disk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from src.analysis.findings import Findings
from src.plotting.style import FORMATS, save
from src.report.content import content
from src.report.figure_set import StudyFigures
from src.report.latex import latex_tables
from src.report.page import html_page, markdown_page
from src.report.tables import write_csv
from src.storage.atomic import replacing_file

PAGE = "report.html"


def write_report(
    out: Path,
    findings: Findings,
    drawn: StudyFigures,
    left_out: Mapping[str, Sequence[str]],
    formats: Sequence[str] = FORMATS,
) -> None:
    """Write tables, figures and pages into a folder; a figure that could not be drawn leaves no older one behind.

    Args:
        out: The folder; it is made where it is missing.
        findings: What the study says.
        drawn: Its figures.
        left_out: Lines by heading.
        formats: Of the figures; the page shows those that are saved as SVG.

    Raises:
        OSError: If a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_csv(findings.collection.runs, out / "runs.csv")
    write_csv(findings.summary, out / "summary.csv")
    write_csv(findings.comparisons, out / "comparisons.csv")
    write_csv(findings.variance, out / "variance.csv")
    svgs: dict[str, str] = {}
    for name, figure in drawn.figures.items():
        if figure is None:
            for kind in FORMATS:
                (out / f"{name}.{kind}").unlink(missing_ok=True)
        else:
            save(figure, out / name, formats)
            if "svg" in formats:
                svgs[name] = (out / f"{name}.svg").read_text(encoding="utf-8")
    report = content(findings, [name for name, figure in drawn.figures.items() if figure is not None], left_out)
    _write(out / PAGE, html_page(report, svgs))
    _write(out / "report.md", markdown_page(report))
    _write(out / "tables.tex", latex_tables(findings))
    _write(out / "problems.txt", "\n".join([*problem_lines(left_out)] or ["none"]) + "\n")


def _write(path: Path, text: str) -> None:
    with replacing_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def problem_lines(left_out: Mapping[str, Sequence[str]], most: int | None = None) -> Iterator[str]:
    """Yield a heading for each kind of problem that there is, and its lines, at most ``most`` of them."""
    for kind, lines in left_out.items():
        if lines:
            yield f"{kind} ({len(lines)}):"
            yield from (f"  {line}" for line in lines[:most])
        if most is not None and len(lines) > most:
            yield f"  and {len(lines) - most} more, see problems.txt"
