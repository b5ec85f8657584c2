"""Reliability diagrams, and the calibration error against the true posterior."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from src.analysis.reliability_bins import Reliability
from src.analysis.replicate import Replicate
from src.plotting.style import INK, MUTED, plain, series_colors, style, wrapped
from src.report.figures.boxes import box_legend, plot_accuracy_boxes
from src.report.figures.comparison import condition_groups

CALIBRATION = "population/calibration_error"
REFERENCES = ["bayes/accuracy", "linear/accuracy", "ideal/accuracy"]
_BARS = "#C9D9E6"
_COLUMNS = 4


def plot_reliability(ax: Axes, found: Reliability) -> Axes:
    """Draw accuracy against confidence by bin, over bars of the share of samples in each bin.

    Dots below the diagonal are overconfident. The area of a dot grows with its number of samples.

    Args:
        ax: Where to draw.
        found: The bins.

    Returns:
        The same axes.
    """
    bins, total = len(found.count), int(found.count.sum())
    centres, share = (np.arange(bins) + 0.5) / bins, found.count / total
    ax.bar(centres, share, width=0.9 / bins, color=_BARS, zorder=1)
    for centre, part, count in zip(centres, share, found.count, strict=True):
        if count:
            height = min(part + 0.012, 0.96)  # below the title
            text = ax.text(centre, height, f"{count:,}", fontsize=5.5, color=INK, ha="center", va="bottom", zorder=5)
            text.set_path_effects([withStroke(linewidth=1.2, foreground="white")])  # legible over other artists
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle="--", zorder=2)
    full = found.count > 0
    color = series_colors(1)[0]
    ax.plot(found.confidence[full], found.accuracy[full], color=color, linewidth=1.0, zorder=3)
    size = 8 + 60 * np.sqrt(share[full])
    ax.scatter(found.confidence[full], found.accuracy[full], size, color, linewidths=0, zorder=4)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    return ax


def reliability_figure(runs: pd.DataFrame, found: Mapping[str, Reliability]) -> Figure:
    """Return reliability diagrams, one panel per condition.

    Args:
        runs: The completed runs.
        found: The bins by fingerprint of the condition, at least one.
    """
    conditions = runs[runs["fingerprint"].isin(found)].drop_duplicates("fingerprint")
    columns = min(_COLUMNS, len(conditions))
    rows = ceil(len(conditions) / columns)
    lines = max(wrapped(label).count("\n") for label in conditions["label"])
    with style():
        figure = Figure(figsize=(0.4 + 2.5 * columns, 0.9 + (2.6 + 0.14 * lines) * rows))
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for index, (ax, (_, condition)) in enumerate(zip(axes, conditions.iterrows(), strict=False)):
            bins = found[condition["fingerprint"]]
            plot_reliability(ax, bins)
            gap = f"mean gap {100 * bins.gap:.1f} points"
            ax.set_title(plain(f"{wrapped(condition['label'])}\n{condition['classes']} classes, {gap}"))
            if index % columns:
                ax.set_ylabel("")
            if index + columns < len(conditions):
                ax.set_xlabel("")
        for ax in axes[len(conditions) :]:
            ax.set_axis_off()
        entries = [
            Line2D(
                [], [], color=series_colors(1)[0], marker="o", markersize=4, label="test samples of all seeds, binned"
            ),
            Line2D([], [], color=MUTED, linestyle="--", linewidth=0.9, label="confidence = accuracy"),
            Patch(facecolor=_BARS, label="share and number of samples"),
        ]
        figure.legend(handles=entries, loc="outside lower center", ncols=3 if columns > 2 else 1)
    return figure


def calibration_figure(runs: pd.DataFrame, alpha: float, replicate: Replicate) -> Figure:
    """Return box plots of the calibration error against the true posterior.

    Args:
        runs: The completed runs, some of which have ``population/calibration_error``.
        alpha: Error rate of the intervals.
        replicate: The replicate that they are based on.
    """
    known = runs.dropna(subset=[CALIBRATION]).drop(columns=REFERENCES, errors="ignore")
    groups = condition_groups(known, CALIBRATION, replicate)
    lines = max(wrapped(group.label).count("\n") + 1 for group in groups)
    rows = len(groups) + len({group.classes for group in groups})
    with style():
        figure = Figure(figsize=(4.8, 0.95 + rows * max(0.3, 0.14 * lines + 0.06)))
        ax = plot_accuracy_boxes(figure.subplots(), groups, 1 - alpha)
        ax.set(
            title="calibration error against the true posterior",
            xlabel="mean |probability - posterior|",
            xlim=(0, None),
        )
        figure.legend(handles=box_legend([ax], 1 - alpha), loc="outside lower center", ncols=3)
    return figure
