"""Training loss against epoch: the median of the seeds and their quartiles."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from src.analysis.run_files import Curves
from src.plotting.regions import set_loss_scale
from src.plotting.style import plain


def plot_loss_curves(ax: Axes, curves: Mapping[str, Curves], colors: Mapping[str, str]) -> Axes:
    """Draw, for each condition, the median loss over its seeds and the band between the quartiles.

    The scale is logarithmic where the medians are positive and span more than a factor of ten, else linear.

    Args:
        ax: Where to draw.
        curves: The seeds' losses by name of the condition.
        colors: A colour for each name.

    Returns:
        The same axes.
    """
    medians = []
    for name, each in curves.items():
        known = np.isfinite(each.loss).any(axis=0)  # (E,)
        low, median, high = np.nanquantile(each.loss[:, known], [0.25, 0.5, 0.75], axis=0)
        ax.fill_between(each.epoch[known], low, high, color=colors[name], alpha=0.25, linewidth=0)
        ax.plot(each.epoch[known], median, color=colors[name], linewidth=1.1, label=plain(name))
        medians.append(median)
    ax.set(xlabel="epoch", ylabel="training loss")
    ax.margins(x=0.01)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.grid(axis="y")
    set_loss_scale(ax, np.concatenate(medians))
    return ax
