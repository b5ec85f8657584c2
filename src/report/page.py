"""HTML and Markdown pages of a report."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.report.content import Content, Picture
from src.report.svg import inline

_MAX_LINES = 20  # per kind of problem; problems.txt has all
_MAX_ROWS = 400  # per table; the CSV files have all
_MAX_MARKDOWN_ROWS = 40
_TEMPLATES = Path(__file__).parent / "templates"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#|~$])")


def html_page(report: Content, svgs: Mapping[str, str]) -> str:
    """Return the report as one self-contained HTML page without scripts.

    Args:
        report: The content.
        svgs: The drawing of each picture by its name; a picture without one is left out.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )

    def drawings(pictures: Sequence[Picture]) -> list[tuple[Picture, Markup, float]]:
        found = []
        for picture in pictures:
            if picture.name in svgs:
                svg, width = inline(svgs[picture.name], picture.name, picture.title)
                found.append((picture, Markup(svg), width))  # noqa: S704 - drawn by us, texts escaped by matplotlib
        return found

    return environment.get_template("report.html").render(
        report=report,
        drawings=drawings(report.pictures),
        collapse_drawings=drawings(report.collapse_pictures),
        seconds=_duration(report.provenance.seconds),
        max_lines=_MAX_LINES,
        max_rows=_MAX_ROWS,
    )


def markdown_page(report: Content) -> str:
    """Return the report as Markdown; names are escaped, so that none acts as markup, HTML or a mention."""
    environment = Environment(  # noqa: S701 - the filter `literal` escapes for Markdown
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["literal"] = _literal
    return environment.get_template("report.md").render(
        report=report, seconds=_duration(report.provenance.seconds), max_lines=_MAX_LINES, max_rows=_MAX_MARKDOWN_ROWS
    )


def _literal(text: str) -> str:
    r"""Return text escaped for Markdown.

    Example:
        >>> print(_literal("<b> a_b | @you"))
        &lt;b&gt; a\_b \| &#64;you
    """
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()).replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;").replace("://", "&#58;//")


def _duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours.

    Example:
        >>> _duration(4.26), _duration(600), _duration(9000)
        ('4.3 s', '10.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
