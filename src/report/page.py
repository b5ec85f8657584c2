"""The report as one self-contained web page, and as Markdown for a pull request."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.report.content import Content
from src.report.report_tables import Sheet
from src.report.svg import inline

_MOST_LINES = 20  # of one kind of problem; problems.txt has them all
_MOST_ROWS = 400  # of one table; the CSV files have them all
_MARKDOWN_ROWS = 40
_TEMPLATES = Path(__file__).parent / "templates"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#|~$])")


def html_page(report: Content, svgs: Mapping[str, str]) -> str:
    """Return the report as a page that needs no network and no script.

    Args:
        report: What it says.
        svgs: The drawing of each picture by its name; a picture without one is left out.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    drawings = []
    for picture in report.pictures:
        if picture.name in svgs:
            svg, width = inline(svgs[picture.name], picture.name, picture.title)
            drawings.append((picture, Markup(svg), width))  # noqa: S704 - drawn by us, its texts escaped by matplotlib
    return environment.get_template("report.html").render(
        report=report,
        drawings=drawings,
        seconds=_duration(report.provenance.seconds),
        most_lines=_MOST_LINES,
        most_rows=_MOST_ROWS,
    )


def markdown_page(report: Content) -> str:
    """Return the report as Markdown, in which no name can act as markup, as HTML or as a mention of someone."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Content) -> Iterator[str]:
    yield from (f"# {_literal(report.title)}", "", _literal(report.question), "")
    yield from (f"> {_literal(sentence)}  " for sentence in report.answer)
    for note in report.notes:
        yield from ("", _literal(note))
    if report.pictures:
        yield from ("", "## Figures")
    for picture in report.pictures:
        yield from (
            "",
            f"![{picture.title}]({picture.name}.png)",
            "",
            f"**{picture.title}.** {_literal(picture.caption)}",
        )
    yield from ("", "## Tables")
    for sheet in report.sheets:
        yield from _markdown_table(sheet)
    yield from ("", "## Left out, and why", "")
    if not report.left_out:
        yield "Nothing: no run diverged, is missing or could not be read."
    for kind, lines in report.left_out.items():
        yield from (f"{kind.capitalize()} ({len(lines)}):", "")
        yield from (f"- {_literal(line)}" for line in lines[:_MOST_LINES])
        if len(lines) > _MOST_LINES:
            yield f"- and {len(lines) - _MOST_LINES} more, see problems.txt"
        yield ""
    origin = report.provenance
    yield from ("", "## How it was run", "")
    yield f"{origin.runs:,} runs, {_duration(origin.seconds)} of training. Reconstructed from what each run was told:"
    yield from ("", *(f"    {' '.join(line.split())}" for line in origin.commands), "")
    for name, found in origin.versions.items():
        yield f"- {_literal(name)} {_literal(', '.join(found))}{' (the runs differ)' if len(found) > 1 else ''}"
    yield from _markdown_table(report.settings)


def _markdown_table(sheet: Sheet) -> Iterator[str]:
    yield from ("", f"### {_literal(sheet.title)}", "")
    yield f"| {' | '.join(map(_literal, sheet.head))} |"
    yield f"|{'|'.join('---' if index < sheet.texts else '---:' for index in range(len(sheet.head)))}|"
    yield from (f"| {' | '.join(map(_literal, row))} |" for row in sheet.rows[:_MARKDOWN_ROWS])
    if len(sheet.rows) > _MARKDOWN_ROWS:
        yield from ("", f"And {len(sheet.rows) - _MARKDOWN_ROWS} rows more: the CSV files have all.")
    yield from ("", _literal(sheet.note))


def _literal(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    Example:
        >>> print(_literal("<b> a_b | @you"))
        &lt;b&gt; a\_b \| &#64;you
    """
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()).replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;").replace("://", "&#58;//")


def _duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Example:
        >>> _duration(4.26), _duration(600), _duration(9000)
        ('4.3 s', '10.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
