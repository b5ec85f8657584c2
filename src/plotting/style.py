"""Style of every figure: fonts, lines, colours and markers; and saving."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from src.plotting.fonts import drawable, fonts_for
from src.storage.atomic import replacing_file

FORMATS = ("png", "svg", "pdf")
INK = "#222222"
MUTED = "#777777"

# Okabe and Ito's colours, then three that are distinguishable from them under common colour-vision deficiencies. Two
# classes are the lecture's green and red.
_PALETTE = (
    *("#009E73", "#D55E00", "#0072B2", "#E69F00", "#CC79A7", "#56B4E9"),
    *("#882255", "#F0E442", "#000000", "#BBBBBB"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_MAX_PIXELS = 30_000  # per side of a PNG; matplotlib raises an error at 65,536
_METADATA: dict[str, dict[str, str | None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
_SHEET = Path(__file__).with_name("losslab.mplstyle")
_STYLE: Any = mpl.rc_params_from_file(_SHEET, use_default_template=False)


@contextmanager
def style() -> Iterator[None]:
    """Use the style of ``losslab.mplstyle`` in the body, independent of the user's matplotlib settings."""
    with mpl_style.context(_STYLE, after_reset=True):
        yield


def class_colors(classes: int) -> list[str]:
    """Return one colour per class, safe for colour-blind readers; green and red for two.

    Args:
        classes: Number of classes C, at least 0. Beyond ten they are sampled from viridis, which is perceptually
            uniform, short of its palest end.

    Example:
        >>> class_colors(2)
        ['#009E73', '#D55E00']
    """
    if classes <= len(_PALETTE):
        return list(_PALETTE[:classes])
    viridis = mpl.colormaps["viridis"]
    return [to_hex(viridis(0.95 * index / (classes - 1))) for index in range(classes)]


def series_colors(series: int) -> list[str]:
    """Return one colour per series that is not a class: the colours of classes with green and red last."""
    return [*_PALETTE[2:], *_PALETTE[:2]][:series] if series <= len(_PALETTE) else class_colors(series)


def class_markers(classes: int) -> list[str]:
    """Return one marker per class; they repeat after ten.

    Example:
        >>> class_markers(3)
        ['o', 's', '^']
    """
    return list(itertools.islice(itertools.cycle(_MARKERS), classes))


def plain(text: str) -> str:
    r"""Return text with ``$`` escaped, which matplotlib would read as a formula, and letters that no font has.

    Example:
        >>> print(plain("cost in $, not in $US"))
        cost in \$, not in \$US
    """
    return drawable(text).replace("$", r"\$")


def wrapped(text: str) -> str:
    """Return text in at most five lines of 36 characters, broken at spaces where there are any."""
    return textwrap.fill(text, 36, break_on_hyphens=False, max_lines=5, placeholder=" ...")


def label_rows(ax: Axes, rows: Sequence[tuple[float, str, str]]) -> None:
    """Label rows, given as (position, name, text), on both sides; headings have no text and a bold name."""
    positions, names, texts = zip(*rows, strict=True)
    ax.set_yticks(positions, names)
    right = ax.secondary_yaxis("right")
    right.set_yticks(positions, texts)
    for label, text in zip(ax.get_yticklabels(), texts, strict=True):
        label.set_fontweight("normal" if text else "bold")
    for axis in (ax, right):
        axis.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)


def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure as ``<stem>.<format>`` for each format, and return the files.

    Fonts of this machine are used beside the default one where this lacks letters. The output is deterministic, without
    dates or random names, and files are replaced atomically. PNG files have 200 dots per inch, fewer only where a side
    would exceed 30,000 pixels.

    Args:
        figure: A figure drawn under ``style()``.
        stem: Path of the files without their suffix. Its folder is created if missing.
        formats: Any of png, svg and pdf.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    files = []
    dpi = min(200.0, _MAX_PIXELS / max(figure.get_size_inches()))
    figure.set_dpi(dpi)
    texts: list[Any] = figure.findobj(Text)
    fonts = fonts_for("".join(sorted({letter for text in texts for letter in text.get_text()})))
    for text in texts if len(fonts) > 1 else []:
        text.set_fontfamily(fonts)  # a list in the style would count as its first font that is installed
    with style():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is computed once, not again for each format
    for kind in formats:
        target = stem.with_name(f"{stem.name}.{kind}")
        with style(), replacing_file(target) as scratch:
            figure.savefig(scratch, format=kind, dpi=dpi, metadata=_METADATA[kind])
        files.append(target)
    return files
