"""Critical-difference diagram: average ranks of several losses over data sets, class counts and settings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.comparison_groups import name_methods
from src.analysis.comparisons import lower_is_better
from src.analysis.formatting import metric_label
from src.plotting.style import INK, MUTED, plain, style, wrapped
from src.statistics.ranks import AverageRanks, average_ranks


def block_means(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the mean of a metric of each method, one row per class count and setting, larger is better.

    Args:
        runs: The completed runs.
        metric: The metric.

    Returns:
        The blocks in which at least three methods that all of them share have a value.
    """
    named = name_methods(runs)
    table = runs.dropna(subset=[metric]).merge(named[["fingerprint", "method", "setting"]], on="fingerprint")
    means = table.pivot_table(metric, ["classes", "setting"], "method", sort=False).dropna(axis=1)
    return -means if lower_is_better(metric) else means


def ranks_figure(runs: pd.DataFrame, metric: str, alpha: float) -> Figure | None:
    """Return the critical-difference diagram, or None for fewer than three losses or two blocks.

    Args:
        runs: The completed runs.
        metric: The metric.
        alpha: Error rate of Nemenyi's test over all pairs.
    """
    if metric not in runs.columns:
        return None
    means = block_means(runs, metric)
    if means.shape[0] < 2 or means.shape[1] < 3:
        return None
    found = average_ranks(means.to_numpy(), alpha)
    with style():
        figure = Figure(figsize=(6.2, 0.9 + 0.24 * means.shape[1]))
        ax = plot_ranks(figure.subplots(), list(means.columns), found)
        p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
        ax.set_title(f"{metric_label(metric)}: average rank over {len(means)} blocks (Friedman's test: {p})")
    return figure


def plot_ranks(ax: Axes, names: Sequence[str], found: AverageRanks) -> Axes:
    """Draw one dot per treatment, the best on top, each with a bar of one critical difference towards worse ranks.

    Nemenyi's test tells two treatments apart where the dot of one is beyond the bar of the other.

    Args:
        ax: Where to draw.
        names: Names of the treatments.
        found: Their average ranks.

    Returns:
        The same axes.
    """
    order = np.argsort(found.ranks, kind="stable")
    ranks, rows = found.ranks[order], np.arange(len(order))
    ends = np.minimum(ranks + found.critical_difference, len(ranks))
    ax.hlines(rows, ranks, ends, color=MUTED, linewidth=1.2)
    ax.plot(ranks, rows, linestyle="none", marker="o", markersize=4.5, color=INK)
    ax.set_yticks(rows, [plain(wrapped(names[index])) for index in order])
    ax.set_ylim(len(ranks) - 0.4, -0.6)
    ax.set(xlabel=f"average rank, 1 is the best; bars: the critical difference, {found.critical_difference:.2f}")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    return ax
