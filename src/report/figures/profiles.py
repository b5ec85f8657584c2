"""Performance profiles: the share of seeds above each value of a metric (Agarwal et al. 2021)."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from src.analysis.comparison_groups import name_methods
from src.analysis.comparisons import lower_is_better
from src.analysis.formatting import metric_label
from src.analysis.replicate import Replicate
from src.plotting.style import plain, series_colors, style, wrapped
from src.statistics.intervals import distribution_band

_MIN_REPLICATES = 5  # below, the band of 95% is wider than 56 points to either side
_MAX_LINES = 10  # distinguishable by colour
_MAX_BANDS = 3  # distinguishable where they overlap
_MAX_STEPS = 2000  # of one line, more than the pixels of its height
_COLUMNS = 3
_LINES = ("-", "--", "-.", ":")

Values = NDArray[np.floating]


def plot_profiles(ax: Axes, profiles: Mapping[str, Values], confidence: float | None, *, below: bool = False) -> Axes:
    """Draw the share of replicates whose value is above each threshold, a step at each value.

    Of more than 2,000 replicates, as many values evenly spaced in rank have a step.

    Args:
        ax: Where to draw.
        profiles: The values of the replicates, (n,), of each method, of which some may have none.
        confidence: Of the simultaneous band around each profile; None for no bands.
        below: Draw the share that is below each threshold, for metrics of which smaller values are better.

    Returns:
        The same axes.
    """
    known = np.concatenate([*profiles.values()])
    margin = 0.03 * float(np.ptp(known)) or 0.01
    ends = known.min() - margin, known.max() + margin
    for index, (name, values) in enumerate(profiles.items()):
        if not len(values):
            continue
        x = np.concatenate([[ends[0]], np.sort(values), [ends[1]]])
        share = np.minimum(np.arange(len(x)), len(values)) / len(values)  # at or below x
        kept = np.linspace(0, len(x) - 1, min(len(x), _MAX_STEPS)).round().astype(int)
        x, share = x[kept], share[kept]
        y = share if below else 1 - share
        color, line = series_colors(len(profiles))[index], _LINES[index % len(_LINES)]
        ax.step(x, y, where="post", color=color, linestyle=line, linewidth=1.2, label=plain(wrapped(name)))
        if confidence is not None:
            half = distribution_band(len(values), confidence)
            low, high = np.clip(y - half, 0, 1), np.clip(y + half, 0, 1)
            ax.fill_between(x, low, high, step="post", color=color, alpha=0.15, linewidth=0)
    ax.set_xlim(*ends)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.set_ylim(-0.02, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid()
    return ax


def profiles_figure(runs: pd.DataFrame, metric: str, alpha: float, replicate: Replicate) -> Figure | None:
    """Return the profiles of all methods, a panel per class count and setting, or None without enough seeds.

    Args:
        runs: The completed runs.
        metric: The metric.
        alpha: Error rate of the bands.
        replicate: The replicate that the shares count.
    """
    if metric not in runs.columns:
        return None
    below = lower_is_better(metric)
    table = runs.merge(name_methods(runs)[["fingerprint", "method", "setting"]], on="fingerprint")
    panels = {
        ", ".join(filter(None, [f"{classes} classes", str(setting)])): {
            str(method): values
            for method, each in group.groupby("method", sort=False)
            if len(values := replicate.means(each, metric)) >= _MIN_REPLICATES
        }
        for (setting, classes), group in table.groupby(["setting", "classes"], sort=False)
    }
    panels = {title: found for title, found in panels.items() if found}
    if not panels:
        return None
    means = pd.DataFrame(
        {title: {name: each.mean() for name, each in found.items()} for title, found in panels.items()}
    )
    best = means.rank(ascending=below).mean(axis=1).nsmallest(_MAX_LINES).index
    names = [name for name in means.index if name in best]
    panels = {title: found for title, found in panels.items() if not best.intersection([*found]).empty}
    confidence = 1 - alpha if len(names) <= _MAX_BANDS and not replicate.overlap else None
    columns = min(_COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    with style():
        lines = max(wrapped(title).count("\n") for title in panels)
        figure = Figure(figsize=(1.9 + 2.5 * columns, 0.5 + (2.4 + 0.14 * lines) * rows))
        axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        for ax, (title, found) in zip(axes, panels.items(), strict=False):
            plot_profiles(ax, {name: found.get(name, np.empty(0)) for name in names}, confidence, below=below)
            ax.set(title=plain(wrapped(title)), xlabel=metric_label(metric))
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        for ax in axes[::columns]:
            ax.set_ylabel(f"{replicate.name} {'below' if below else 'above'}")
        if len(names) < len(means):
            figure.suptitle(
                f"the {len(names)} best of {len(means)} by the average rank of their means", fontsize="medium"
            )
        handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend([*handles.values()], [*handles], loc="outside right upper", alignment="left")
    return figure
