"""Fonts of matplotlib itself stand for those of a machine, as these differ."""

import logging
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from src.plotting import fonts
from src.plotting.confusion import confusion_figure
from src.plotting.style import plain, save

STIX = "\N{COMBINING ENCLOSING CIRCLE}\N{LATIN SMALL LETTER D WITH PALATAL HOOK}"  # which DejaVu Sans lacks


@pytest.fixture
def installed(monkeypatch):
    """Return a function that leaves the machine with the fonts of some names."""
    caches = (fonts._available, fonts.fonts_for, fonts._warn)
    known = fonts.fontManager.ttflist

    def install(*names):
        for each in caches:
            each.cache_clear()
        listed = [entry for entry in known if entry.name in names]
        listed.sort(key=lambda entry: entry.weight, reverse=True)  # the bold ones first, as on some machines
        monkeypatch.setattr(fonts, "fontManager", SimpleNamespace(ttflist=listed))

    yield install
    for each in caches:
        each.cache_clear()


def test_a_font_of_the_machine_is_used_where_it_has_the_letters(installed):
    installed("DejaVu Sans", "STIXGeneral", "Last Resort High-Efficiency")
    assert fonts.fonts_for("süß\nλ→") == ["DejaVu Sans"]
    assert fonts.fonts_for(f"süß {STIX}") == ["DejaVu Sans", "STIXGeneral"]
    assert plain(f"{STIX} in $") == rf"{STIX} in \$"


# A font that has one sign for all letters, as comes with matplotlib 3.11, has none of them.
@pytest.mark.parametrize("others", [(), ("STIXGeneral",), ("Last Resort High-Efficiency",)])
def test_letters_that_no_font_has_are_escaped_with_a_word(others, installed, tmp_path, caplog):
    installed("DejaVu Sans", *others)
    with caplog.at_level(logging.WARNING):
        figure = confusion_figure(np.eye(3, dtype=int), ["赤い", "עברית", "赤い"])
    [line] = caplog.messages
    assert line == r"no font of this machine has い赤; figures show \u8d64\u3044"
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == [r"\u8d64\u3044", "עברית", r"\u8d64\u3044"]
    save(figure, tmp_path / "confusion", ("png",))


def test_a_figure_is_drawn_with_the_font_that_has_its_letters(installed, tmp_path):
    installed("DejaVu Sans", "STIXGeneral")
    pixels = []
    for family in ("sans-serif", "STIXGeneral"):
        figure = Figure(figsize=(1, 1))
        figure.text(0.3, 0.3, STIX[1], family=family, size=40)
        [path] = save(figure, tmp_path / family, ("png",))
        pixels.append(np.asarray(Image.open(path)))
    assert np.array_equal(pixels[0], pixels[1])
    assert pixels[0].std() > 0
    assert mpl.rcParams["font.sans-serif"][0] == "DejaVu Sans"
