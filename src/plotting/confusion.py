"""The confusion matrix of one run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay

from src.plotting.fonts import fonts_for
from src.plotting.style import plain, style

_MAX_NUMBERED = 20  # classes up to which each cell shows its count
_MAX_LABEL = 24  # characters


def confusion_figure(counts: NDArray[np.integer], names: Sequence[Any], *, title: str = "") -> Figure:
    """Return a confusion matrix: a row per true class, coloured by its share of the row, with the counts.

    Args:
        counts: Samples of each class by the class that was decided, (C, C).
        names: The label of each class, (C,).
        title: Title of the figure.
    """
    classes = len(names)
    fonts, labels = fonts_for([plain(_short(str(name))) for name in names])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 1.4 + max(0.42, 1.6 / classes) * min(classes, 30)
    with style():
        figure = Figure(figsize=(size + 0.6, size))
        ax = figure.subplots()
        shown = ConfusionMatrixDisplay(share, display_labels=labels)
        shown.plot(ax=ax, cmap="Blues", include_values=False, colorbar=False, im_kw={"vmin": 0, "vmax": 1})
        if classes <= _MAX_NUMBERED:
            for row, column in np.ndindex(*counts.shape):
                colour = "white" if share[row, column] > 0.5 else "black"
                ax.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
        ax.tick_params(length=0)
        for label in ax.get_xticklabels():
            label.set(rotation=90 if max(map(len, labels)) > 4 else 0)
        for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
            label.set_fontfamily(fonts)
        ax.set(xlabel="predicted", ylabel="true", title=title)
        ax.spines[:].set_visible(False)
    return figure


def _short(name: str) -> str:
    """Return a name in one line of at most 24 characters."""
    visible = "".join(letter if letter.isprintable() else " " for letter in name)
    return visible if len(visible) <= _MAX_LABEL else f"{visible[: _MAX_LABEL - 1]}…"
