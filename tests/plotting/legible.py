"""Checks that a figure can be read."""

import itertools
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.text import Text


def shown_texts(figure: Figure) -> Iterator[Text]:
    for ax in figure.axes:
        if ax.axison:
            yield from (ax.title, ax.xaxis.label, ax.yaxis.label)
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
        for side in ax.child_axes:  # a second axis on the right
            yield from (tick.label2 for tick in side.yaxis.get_major_ticks())
    for legend in [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]:
        yield from (*legend.get_texts(), legend.get_title())


def assert_legible(figure: Figure) -> None:
    """Every text lies on the page, and none over another."""
    figure.draw_without_rendering()
    texts = [text for text in shown_texts(figure) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        assert not box.padded(-1).overlaps(second), (one, other)
