"""Confusion matrices: a row per true class, a column per predicted one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay

from src.plotting.style import plain, style

_MAX_NUMBERED = 20  # classes up to which each cell has a number
_MAX_LABEL = 24  # characters


def plot_confusion(ax: Axes, counts: NDArray[np.integer], names: Sequence[Any], *, percent: bool = False) -> Axes:
    """Draw a confusion matrix, coloured by the share of each row, whose diagonal is the recall of the classes.

    Args:
        ax: Where to draw.
        counts: Samples of each class by the class that was decided, (C, C).
        names: The label of each class, (C,).
        percent: Whether cells have the share of their row in percent rather than the count.

    Returns:
        The same axes.
    """
    labels = [plain(_short(str(name))) for name in names]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = ConfusionMatrixDisplay(share, display_labels=labels)
    shown.plot(ax=ax, cmap="Blues", include_values=False, colorbar=False, im_kw={"vmin": 0, "vmax": 1})
    if len(names) <= _MAX_NUMBERED:
        for row, column in np.ndindex(*counts.shape):
            text = f"{100 * share[row, column]:.0f}" if percent else str(counts[row, column])
            colour = "white" if share[row, column] > 0.5 else "black"
            ax.text(column, row, text, ha="center", va="center", color=colour)
    ax.tick_params(length=0)
    for label in ax.get_xticklabels():
        label.set(rotation=90 if max(map(len, labels)) > 4 else 0)
    ax.set(xlabel="predicted", ylabel="true")
    ax.spines[:].set_visible(False)
    return ax


def side(classes: int) -> float:
    """Return the inches of a side of a confusion matrix of some classes, with its labels."""
    return 1.4 + max(0.42, 1.6 / classes) * min(classes, 30)


def confusion_figure(counts: NDArray[np.integer], names: Sequence[Any], *, title: str = "") -> Figure:
    """Return the confusion matrix of one run, with counts."""
    with style():
        figure = Figure(figsize=(side(len(names)) + 0.6, side(len(names))))
        plot_confusion(figure.subplots(), counts, names).set_title(title)
    return figure


def _short(name: str) -> str:
    """Return a name in one line of at most 24 characters."""
    visible = "".join(letter if letter.isprintable() else " " for letter in name)
    return visible if len(visible) <= _MAX_LABEL else f"{visible[: _MAX_LABEL - 1]}…"
