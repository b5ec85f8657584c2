"""Fonts that have the letters of a text."""

import logging
from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import fontManager, get_font

log = logging.getLogger(__name__)

DEFAULT = "DejaVu Sans"  # comes with matplotlib


def fonts_for(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the fonts to draw some texts with, and the texts, in which letters that no font has are escaped.

    The default font comes first. Another one of this machine follows if the texts have letters that the default one
    lacks; a warning is logged if none has them.

    Example:
        >>> fonts_for(["süß", "λ→"])
        (['DejaVu Sans'], ['süß', 'λ→'])
    """
    letters = {letter for text in texts for letter in text}
    lacking = letters - _available(DEFAULT, frozenset(letters))
    if not lacking:
        return [DEFAULT], list(texts)
    names = sorted({entry.name for entry in fontManager.ttflist} - {DEFAULT})
    best = max(names, key=lambda name: len(_available(name, frozenset(lacking))), default=DEFAULT)
    lost = lacking - _available(best, frozenset(lacking))
    if not lost:
        return [DEFAULT, best], list(texts)
    shown = ["".join(_escaped(letter) if letter in lost else letter for letter in text) for text in texts]
    log.warning("no font of this machine has %s; figures show %s", "".join(sorted(lost)), ", ".join(shown))
    return [DEFAULT, best], shown


@cache
def _available(name: str, letters: frozenset[str]) -> frozenset[str]:
    """Return those of some letters that a font has."""
    paths = [entry.fname for entry in fontManager.ttflist if entry.name == name]
    try:
        font = get_font(paths[:1])
        return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))
    except (OSError, RuntimeError, IndexError):  # a font that this machine lists and FreeType cannot read
        return frozenset()


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
