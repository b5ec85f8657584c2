"""Regret against sample size, on logarithmic scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.comparison_groups import name_methods
from src.analysis.replicate import Replicate
from src.plotting.style import MUTED, class_markers, plain, series_colors, style, wrapped
from src.report.figures.regret import regret_points

SIZES = ("data.samples", "data.samples_per_class", "data.samples_per_corner")
_MIN_SIZES = 3  # points of one line


@dataclass(frozen=True)
class Decay:
    """Regret of one method in percentage points: by sample size the mean and both ends of its interval."""

    label: str
    intervals: dict[int, tuple[float, float, float]]

    @property
    def means(self) -> dict[int, float]:
        """The mean regret by size, where it is above 0, as required by a logarithmic scale."""
        means = {size: self.intervals[size][0] for size in sorted(self.intervals)}
        return {size: mean for size, mean in means.items() if mean > 0}

    @property
    def slope(self) -> float:
        """The slope of the least squares line through the logarithms of sizes and means; -1 for a fall like 1/N."""
        means = self.means
        if len(means) < 2:
            return float("nan")
        return float(np.polyfit(np.log([*means]), np.log([*means.values()]), 1)[0])


def plot_decay(ax: Axes, lines: Sequence[Decay]) -> Axes:
    """Draw the mean regret of each method with its interval against sample size.

    A grey line falls like 1/N from the first mean of the method whose slope is nearest to -1.

    Args:
        ax: Where to draw.
        lines: The methods, in order.

    Returns:
        The same axes.
    """
    ax.set_xscale("log")
    ax.set_yscale("log")
    nearest = min(lines, key=lambda line: abs(line.slope + 1)).means
    sizes = np.array([*nearest])
    ax.plot(sizes, sizes[0] * nearest[sizes[0]] / sizes, color=MUTED, linewidth=0.9, linestyle="--", label="1/N")
    for line, color, marker in zip(lines, series_colors(len(lines)), class_markers(len(lines)), strict=True):
        means = line.means
        mean, low, high = np.array([line.intervals[size] for size in means]).T
        low = np.maximum(low, mean / 100)  # two decades below the mean are drawn as 0
        ax.vlines([*means], low, high, color=color, linewidth=1.4)
        label = f"{plain(wrapped(line.label))}\n(slope {line.slope:.2f})"
        ax.plot([*means], [*means.values()], color=color, marker=marker, markersize=4, linewidth=0.9, label=label)
    ax.set(xlabel="sample size N", ylabel="regret (points)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.grid(axis="y")
    return ax


def sample_size_figure(runs: pd.DataFrame, alpha: float, replicate: Replicate) -> Figure | None:
    """Return the regret of every method against sample size, or None without several sample sizes.

    Args:
        runs: The completed runs, some of which have a population regret.
        alpha: Error rate of the intervals.
        replicate: The replicate that they are based on.
    """
    known = runs.dropna(subset=["population/regret"])
    size = next((name for name in SIZES if name in known.columns and known[name].nunique() >= _MIN_SIZES), None)
    if size is None:
        return None
    named = name_methods(known, except_for=(size,))
    names = ["method", "setting", "classes"]
    table = known.drop(columns=["classes", size]).merge(named[["fingerprint", size, *names]], on="fingerprint")
    several = table["classes"].nunique() > 1
    lines = []
    for (method, setting, classes), group in table.groupby(names, sort=False):
        label = ", ".join(filter(None, [method, setting, f"{classes} classes" * several]))
        found = {int(n): regret_points(each, 1 - alpha, replicate) for n, each in group.groupby(size)}
        lines.append(Decay(label, found))
    with style():
        figure = Figure(figsize=(5.4, 3.2))
        ax = plot_decay(figure.subplots(), [line for line in lines if len(line.means) >= _MIN_SIZES])
        ax.set_title(f"regret by sample size\nmean over {replicate.name}, {1 - alpha:.0%} interval")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper", alignment="left")
    return figure
