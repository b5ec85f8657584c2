"""Box plots of every condition, with a dot per seed or the density of many, means with intervals, and references."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from src.plotting.style import INK, MUTED, plain, series_colors, wrapped
from src.statistics.intervals import mean_interval

_HEIGHT = 0.62  # height of a box in rows
_GOLDEN = (5**0.5 - 1) / 2
_BOX, _SEED, _MEAN = "quartiles and median", "one seed", "mean and its interval"
_COLLAPSED = "one collapsed seed"
_DENSITY = "density of the seeds"
_MAX_DOTS = 300  # in a row, where more would hide each other
_BAYES, _LINEAR = "Bayes accuracy", "linear discriminant of infinite data"
_IDEAL = "optimum of the loss"
_MAJORITY = "always the largest class"
_DIAMOND: dict[str, Any] = {
    "color": "black",
    "marker": "D",
    "markersize": 3.2,
    "markerfacecolor": "white",
    "markeredgewidth": 0.9,
}


@dataclass(frozen=True)
class Group:
    """The seeds of one condition.

    Attributes:
        label: Name of the condition without its class count.
        classes: Number of classes C.
        values: Accuracy of each seed, (S,).
        bayes: Bayes accuracy, or None where the distribution is not known.
        linear: Accuracy of the linear discriminant of infinite data, or None.
        ideal: Accuracy of the decision rule of the loss on its minimiser, or None where that is the Bayes accuracy.
        replicates: Values of the independent replicates, (n,), if single seeds are not independent; otherwise None.
        collapsed: Whether each seed is collapsed, (S,); None where none is.
        majority: Accuracy of always deciding for the largest class, or None where that is no reference.
        overlap: The ratio of test to training samples of cross-validated runs; 0 for independent ones.
    """

    label: str
    classes: int
    values: NDArray[np.floating]
    bayes: float | None = None
    linear: float | None = None
    ideal: float | None = None
    replicates: NDArray[np.floating] | None = None
    collapsed: NDArray[np.bool_] | None = None
    majority: float | None = None
    overlap: float = 0.0


def plot_accuracy_boxes(ax: Axes, groups: Sequence[Group], confidence: float = 0.95) -> Axes:
    """Draw one row per group, from the top, grouped by class count.

    A row has a box from quartile to quartile with the median in it, whiskers to the furthest value within 1.5 times
    the box, one dot per seed, hollow where it is collapsed, and the mean with its t interval, which a mean over
    collapsed and other seeds has not; a single seed is only a dot. More than 300 seeds have a kernel density estimate
    in the place of the dots. The dashed line is the Bayes accuracy, the dotted one the linear discriminant, and the
    dash-dotted one the accuracy of the decision rule of the loss at its minimiser: the gap to its right is the cost of
    the rule, that to its left the cost of training.

    Args:
        ax: Where to draw.
        groups: The groups, in order. Groups of one class count stand together.
        confidence: Of the intervals.

    Returns:
        The same axes.
    """
    labels = list(dict.fromkeys(group.label for group in groups))
    colors = dict(zip(labels, series_colors(len(labels)), strict=True))
    ticks: list[tuple[float, str, str]] = []
    row = 0.0
    for classes in dict.fromkeys(group.classes for group in groups):
        block = [group for group in groups if group.classes == classes]
        ticks.append((row, f"{classes} classes", "bold"))
        for offset, group in enumerate(block, start=1):
            _draw_group(ax, row + offset, group, colors[group.label], confidence)
            ticks.append((row + offset, plain(wrapped(group.label)), "normal"))
        _draw_reference(ax, row + 1, [group.bayes for group in block], _BAYES, "--")
        _draw_reference(ax, row + 1, [group.linear for group in block], _LINEAR, ":")
        _draw_reference(ax, row + 1, [group.ideal for group in block], _IDEAL, "-.")
        _draw_reference(ax, row + 1, [group.majority for group in block], _MAJORITY, (0, (5, 1, 1, 1, 1, 1)))
        row += len(block) + 1
    ax.set_ylim(row - 0.4, -0.5)
    ax.set_yticks([position for position, _, _ in ticks])
    names = ax.set_yticklabels([name for _, name, _ in ticks])  # none on inner axes that share them
    for text, (_, _, weight) in zip(names, ticks, strict=False):
        text.set_fontweight(weight)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    return ax


def _draw_group(ax: Axes, row: float, group: Group, color: str, confidence: float) -> None:
    values = group.values
    if len(values) > _MAX_DOTS:
        _draw_density(ax, row, values, color)
    else:
        _draw_dots(ax, row, group, color)
    if len(values) < 2:
        return
    ax.boxplot(
        [values],
        positions=[row],
        orientation="horizontal",
        widths=_HEIGHT,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        label=_BOX,
        boxprops={"facecolor": (color, 0.18), "edgecolor": color, "linewidth": 0.9},
        medianprops={"color": color, "linewidth": 1.8},
        whiskerprops={"color": color, "linewidth": 0.9},
        capprops={"color": color, "linewidth": 0.9},
    )
    mean, low, high = mean_interval(values if group.replicates is None else group.replicates, confidence, group.overlap)
    if group.collapsed is None or not group.collapsed.any():
        ax.plot([low, high], [row, row], color="black", linewidth=1.6, solid_capstyle="butt", zorder=4)
    ax.plot([mean], [row], linestyle="none", zorder=5, label=_MEAN, **_DIAMOND)


def _draw_density(ax: Axes, row: float, values: NDArray[np.floating], color: str) -> None:
    look: dict[str, Any] = {"orientation": "horizontal", "widths": 1.4 * _HEIGHT, "showextrema": False}
    drawn: Any = ax.violinplot([values], positions=[row], **look)
    [body] = drawn["bodies"]
    body.set(facecolor=color, edgecolor="none", alpha=0.35, zorder=1.5, label=_DENSITY)


def _draw_dots(ax: Axes, row: float, group: Group, color: str) -> None:
    values = group.values
    jitter = ((np.arange(len(values)) + 1) * _GOLDEN % 1 - 0.5) * 0.8 * _HEIGHT  # even and deterministic
    size, opacity = np.clip(200 / max(len(values), 1), 2, 9), np.clip(25 / max(len(values), 1), 0.2, 0.75)
    many = len(values) > 200
    hollow = np.zeros(len(values), dtype=bool) if group.collapsed is None else group.collapsed
    look: dict[str, Any] = {"s": size, "color": color, "alpha": opacity, "linewidths": 0, "zorder": 3}
    ax.scatter(values[~hollow], (row + jitter)[~hollow], label=_SEED, rasterized=many, **look)
    if hollow.any():
        look = {"s": 2 * size, "facecolors": "white", "edgecolors": color, "linewidths": 0.9, "zorder": 3}
        ax.scatter(values[hollow], (row + jitter)[hollow], label=_COLLAPSED, **look)


def _draw_reference(ax: Axes, top: float, values: Iterable[float | None], label: str, dashes: Any) -> None:
    """Draw one line through neighbouring rows of the same reference accuracy."""
    row = top
    for value, same in itertools.groupby(values):
        rows = len(list(same))
        if value is not None:
            ends = [row - 0.5, row + rows - 0.5]
            ax.plot([value, value], ends, color=INK, linestyle=dashes, linewidth=1.0, zorder=2.5, label=label)
        row += rows


def box_legend(axes: Iterable[Axes], confidence: float = 0.95) -> list[Artist]:
    """Return legend entries for what ``plot_accuracy_boxes`` has drawn in some axes, in grey."""
    drawn = {label for ax in axes for label in ax.get_legend_handles_labels()[1]}
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3, "color": MUTED}
    entries = {
        _BOX: Patch(facecolor=(MUTED, 0.18), edgecolor=MUTED, label=_BOX),
        _SEED: Line2D([], [], label=_SEED, **dot),
        _COLLAPSED: Line2D([], [], markerfacecolor="white", label=_COLLAPSED, **dot),
        _DENSITY: Patch(facecolor=(MUTED, 0.35), edgecolor="none", label=_DENSITY),
        _MEAN: Line2D([], [], linewidth=1.6, label=f"mean, {confidence:.0%} interval", **_DIAMOND),
        _BAYES: Line2D([], [], color=INK, linestyle="--", linewidth=1.0, label=_BAYES),
        _LINEAR: Line2D([], [], color=INK, linestyle=":", linewidth=1.0, label=_LINEAR),
        _IDEAL: Line2D([], [], color=INK, linestyle="-.", linewidth=1.0, label=_IDEAL),
        _MAJORITY: Line2D([], [], color=INK, linestyle=(0, (5, 1, 1, 1, 1, 1)), linewidth=1.0, label=_MAJORITY),
    }
    return [entry for name, entry in entries.items() if name in drawn]
