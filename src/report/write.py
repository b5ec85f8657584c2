"""Writing of the files of a report."""

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
    """Write tables, figures and pages into a folder, and remove older figures that could not be drawn again.

    Args:
        out: The folder, created if missing.
        findings: The findings of the study.
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


def problem_lines(left_out: Mapping[str, Sequence[str]], max_lines: int | None = None) -> Iterator[str]:
    """Yield a heading for each kind of problem, and at most ``max_lines`` of its lines."""
    for kind, lines in left_out.items():
        if lines:
            yield f"{kind} ({len(lines)}):"
            yield from (f"  {line}" for line in lines[:max_lines])
        if max_lines is not None and len(lines) > max_lines:
            yield f"  and {len(lines) - max_lines} more, see problems.txt"
