"""Fonts that have the letters of a text."""

import logging
import re
from functools import cache

from matplotlib.font_manager import fontManager, get_font

log = logging.getLogger(__name__)

DEFAULT = "DejaVu Sans"  # comes with matplotlib
_PLACEHOLDERS = re.compile(r"\.?Last ?Resort|Adobe Blank|.*NotDef", re.IGNORECASE)  # draw one sign for all letters


def drawable(text: str) -> str:
    """Return a text in which letters that no font of this machine has are escaped; a warning is logged for them."""
    lost = _letters(text)
    for name in fonts_for(text):
        lost -= _available(name)
    if not lost:
        return text
    shown = "".join(_escaped(letter) if letter in lost else letter for letter in text)
    _warn("".join(sorted(lost)), shown)
    return shown


@cache
def fonts_for(text: str) -> list[str]:
    """Return the fonts to draw a text with: the default one, then those that have letters which it lacks.

    Example:
        >>> fonts_for("süß, λ→")
        ['DejaVu Sans']
    """
    fonts = [DEFAULT]
    lacking = _letters(text) - _available(DEFAULT)
    names = sorted({entry.name for entry in fontManager.ttflist} - {DEFAULT}) if lacking else []
    names = [name for name in names if not _PLACEHOLDERS.match(name)]
    while names:
        best = max(names, key=lambda name: len(lacking & _available(name)))
        if not lacking & _available(best):
            break
        fonts.append(best)
        lacking -= _available(best)
    return fonts


def _letters(text: str) -> frozenset[str]:
    return frozenset(filter(str.isprintable, text))


@cache
def _available(name: str) -> frozenset[str]:
    """Return the letters that a font has."""
    entries = [entry for entry in fontManager.ttflist if entry.name == name]
    # The regular one is drawn; machines list the bold and the italic ones, which have fewer letters, in any order.
    entries.sort(key=lambda entry: (entry.style != "normal", entry.weight not in (400, "normal", "regular")))
    try:
        return frozenset(map(chr, get_font(entries[0].fname).get_charmap()))
    except (OSError, RuntimeError, IndexError):  # a font that this machine lists and FreeType cannot read
        return frozenset()


@cache
def _warn(lost: str, shown: str) -> None:
    log.warning("no font of this machine has %s; figures show %s", lost, shown)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
