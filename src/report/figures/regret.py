"""Regret against the number of classes; with many losses, one row per loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.replicate import Replicate
from src.analysis.summary import mean_of
from src.plotting.style import class_markers, plain, series_colors, style, wrapped

_MAX_LINES = 10  # distinguishable by colour and marker
_SPREAD = 0.7  # of the means of one class count, in steps between class counts


@dataclass(frozen=True)
class Line:
    """Regret of one loss in percentage points: by number of classes the mean and both ends of its interval."""

    label: str
    intervals: dict[int, tuple[float, float, float]]


def regret_points(runs: pd.DataFrame, confidence: float, replicate: Replicate) -> tuple[float, float, float]:
    """Return the mean regret of some runs and both ends of its interval, see ``mean_of``, in percentage points."""
    mean, low, high = mean_of(runs, "population/regret", confidence, replicate)
    return 100 * mean, 100 * low, 100 * high


def plot_regret(ax: Axes, lines: Sequence[Line]) -> Axes:
    """Draw the mean regret of each loss with its interval at each class count, joined by a line.

    The losses are drawn side by side at each class count, so that their intervals do not overlap.

    Args:
        ax: Where to draw.
        lines: The losses, in order.

    Returns:
        The same axes.
    """
    counts = sorted({classes for line in lines for classes in line.intervals})
    offsets = (np.arange(len(lines)) - (len(lines) - 1) / 2) / max(len(lines), 6) * _SPREAD
    looks = zip(series_colors(len(lines)), class_markers(len(lines)), strict=True)
    for line, offset, (color, marker) in zip(lines, offsets, looks, strict=True):
        positions = np.array([index for index, classes in enumerate(counts) if classes in line.intervals]) + offset
        mean, low, high = np.array([line.intervals[classes] for classes in counts if classes in line.intervals]).T
        ax.plot(positions, mean, color=color, linewidth=0.9, alpha=0.6, zorder=2)
        ax.vlines(positions, low, high, color=color, linewidth=1.6, zorder=3)
        ax.plot(
            positions,
            mean,
            linestyle="none",
            marker=marker,
            markersize=4.5,
            color=color,
            label=plain(line.label),
            zorder=4,
        )
    ax.axhline(0, color="black", linewidth=0.7, zorder=1)
    ax.set_xticks(range(len(counts)), [str(classes) for classes in counts])
    ax.set_xlim(-0.5, len(counts) - 0.5)
    ax.set(xlabel="number of classes C", ylabel="regret (points)")
    ax.grid(axis="y")
    return ax


def plot_regret_rows(axes: Sequence[Axes], lines: Sequence[Line]) -> Sequence[Axes]:
    """Draw the mean regret with its interval, one row per loss and one panel per class count.

    Args:
        axes: One panel per class count, in rising order.
        lines: The losses, from the top.

    Returns:
        The same axes.
    """
    counts = sorted({classes for line in lines for classes in line.intervals})
    color = series_colors(1)[0]
    for ax, classes in zip(axes, counts, strict=True):
        rows = [row for row, line in enumerate(lines) if classes in line.intervals]
        mean, low, high = np.array([lines[row].intervals[classes] for row in rows]).T
        ax.hlines(rows, low, high, color=color, linewidth=1.6, zorder=2)
        ax.plot(mean, rows, linestyle="none", marker="o", markersize=4, color=color, zorder=3)
        ax.axvline(0, color="black", linewidth=0.7, zorder=1)
        ax.set(title=f"{classes} classes", xlabel="regret (points)")
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(lines)), [plain(wrapped(line.label)) for line in lines])
    axes[0].set_ylim(len(lines) - 0.4, -0.6)
    return axes


def regret_figure(runs: pd.DataFrame, alpha: float, replicate: Replicate) -> Figure:
    """Return the regret of every label against the number of classes.

    Args:
        runs: The completed runs, some of which have a population regret.
        alpha: Error rate of the intervals.
        replicate: The replicate that they are based on.
    """
    known = runs.dropna(subset=["population/regret"])
    lines = [
        Line(
            str(label),
            {int(classes): regret_points(each, 1 - alpha, replicate) for classes, each in group.groupby("classes")},
        )
        for label, group in known.groupby("label", sort=False)
    ]
    title = f"regret: Bayes accuracy minus population accuracy\nmean over {replicate.name}, {1 - alpha:.0%} interval"
    names = [wrapped(line.label) for line in lines]
    rows = sum(name.count("\n") + 1 for name in names)
    with style():
        if len(lines) > _MAX_LINES:
            panels = known["classes"].nunique()
            figure = Figure(figsize=(1.6 + max(2.4, 1.6 * panels), 1.2 + 0.19 * rows))
            plot_regret_rows(list(figure.subplots(1, panels, sharex=True, sharey=True, squeeze=False)[0]), lines)
            figure.suptitle(title, fontsize="medium")
        else:
            width = (5.6 if max(map(len, names)) > 18 else 4.8) + 0.15 * max(0, len(names) - 6)
            figure = Figure(figsize=(width, max(2.9, 0.6 + 0.16 * rows)))
            ax = plot_regret(figure.subplots(), lines)
            ax.set_title(title)
            handles, labels = ax.get_legend_handles_labels()
            figure.legend(handles, list(map(wrapped, labels)), loc="outside right upper", alignment="left")
    return figure
