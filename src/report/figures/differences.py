"""Forest plot of the paired differences from the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from src.analysis.comparisons import NOT_SHOWN, NOT_TESTED, Plan, scale
from src.analysis.formatting import metric_label, with_interval
from src.plotting.style import INK, MUTED, label_rows, plain, style, wrapped

_MAX_REACH = 6  # times the median distance from 0 of the far ends of the intervals: there, the axis ends
_SIGNIFICANT, _NOT_SIGNIFICANT = "significant after Holm's correction", "not significant"


@dataclass(frozen=True)
class Difference:
    """One comparison.

    Attributes:
        block: Heading of its group, such as ``2 classes``.
        label: Name of the loss and setting.
        value: Paired difference.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
        different: Whether the difference is significant after correction.
        text: Text to the right of it, such as ``0.4 [-0.3, 1.1]``.
    """

    block: str
    label: str
    value: float
    low: float
    high: float
    different: bool
    text: str


def differences(comparisons: pd.DataFrame, part: str) -> list[Difference]:
    """Return the rows of the plot by class count.

    Args:
        comparisons: What ``src.analysis.comparisons.compare_losses`` returns.
        part: ``learned`` or ``collapsed``.
    """
    rows = []
    for _, row in comparisons.sort_values("classes", kind="stable").iterrows():
        value, low, high = (float(row[f"{part}_{end}"]) for end in ("difference", "low", "high"))
        label = ", ".join(filter(None, [row["loss"], row["setting"]]))
        different = row[f"{part}_finding"] not in (NOT_SHOWN, NOT_TESTED)
        rows.append(
            Difference(f"{row['classes']} classes", label, value, low, high, different, _text(value, low, high))
        )
    return rows


def _text(value: float, low: float, high: float) -> str:
    if pd.isna(value):
        return "no common seed"
    return with_interval(value, low, high) + (", no interval" if pd.isna(low) else "")


def forest_figure(comparisons: pd.DataFrame, plan: Plan) -> Figure:
    """Return the forest plot of the comparisons: differences where both learned, and of how often the losses collapse.

    Args:
        comparisons: At least one row of what ``src.analysis.comparisons.compare_losses`` returns.
        plan: The baseline, alpha and margin.
    """
    metric, kind = comparisons["metric"].iloc[0], "confidence sequence" if plan.anytime else "interval"
    unit = " (points)" if scale(metric) > 1 else ""
    panels = {"learned": f"{metric_label(metric)}{unit}\nwhere both learned"}
    if (comparisons["collapsed_loss"] + comparisons["collapsed_baseline"]).any():
        panels["collapsed"] = "share of collapsed seeds\n(points)"
    rows = {part: differences(comparisons, part) for part in panels}
    lines = max(wrapped(row.label).count("\n") + 1 for row in rows["learned"])
    blocks = comparisons["classes"].nunique()
    height = 1.4 + (len(comparisons) + blocks) * max(0.22, 0.14 * lines + 0.06)
    with style():
        figure = Figure(figsize=(4.2 + 2.9 * (len(panels) - 1), height))
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (part, title) in zip(grid, panels.items(), strict=True):
            plot_forest(ax, rows[part], named=part == "learned")
            ax.set(title=title, xlabel=plain(f"difference from {wrapped(plan.baseline)}"))
        if plan.margin is not None:
            grid[0].axvspan(-plan.margin, plan.margin, color=MUTED, alpha=0.15, linewidth=0, zorder=0)
        figure.legend(handles=forest_legend(grid, f"{1 - plan.alpha:.0%} {kind}"), loc="outside lower center")
    return figure


def plot_forest(ax: Axes, differences: Sequence[Difference], *, named: bool = True) -> Axes:
    """Draw one row per comparison, from the top, grouped under headings.

    A row has the interval as a line and the difference as a diamond, filled where it is significant after correction.
    The numbers are on the right. An interval so far from 0 that the others would be too small to see ends in an arrow.

    Args:
        ax: Where to draw.
        differences: At least one, in order; those of one block stand together.
        named: Whether the names are on the left.

    Returns:
        The same axes.
    """
    ticks: list[tuple[float, str, str]] = []
    row, limit = 0.0, _limit(differences)
    for block in dict.fromkeys(each.block for each in differences):
        ticks.append((row, block if named else "", ""))
        for each in (each for each in differences if each.block == block):
            row += 1
            _draw(ax, row, each, limit)
            ticks.append((row, plain(wrapped(each.label)) if named else "", each.text))
        row += 1
    ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    ax.set_ylim(row - 0.4, -0.6)
    label_rows(ax, ticks)
    ax.grid(axis="x")
    return ax


def _limit(differences: Sequence[Difference]) -> float:
    """Return the distance from 0 at which the axis ends; infinite where it need not."""
    reach = np.abs([(each.low, each.value, each.high) for each in differences])
    reach = np.where(np.isfinite(reach), reach, 0.0).max(axis=1)
    return _MAX_REACH * float(np.median(reach[reach > 0])) if reach.any() else np.inf


def _draw(ax: Axes, row: float, each: Difference, limit: float) -> None:
    ends = np.array([each.low, each.high])
    look: dict[str, Any] = {"linestyle": "none", "label": _SIGNIFICANT if each.different else _NOT_SIGNIFICANT}
    look |= _diamond(each.different)
    if np.isfinite(ends).all():
        ax.plot(ends.clip(-limit, limit), [row, row], color=INK, linewidth=1.8, solid_capstyle="butt", zorder=3)
    if abs(each.value) <= limit:
        ax.plot([each.value], [row], **look)
    for side, arrow in ((-1, "<"), (1, ">")):
        if (side * np.array([*ends, each.value]) > limit).any():
            ax.plot([side * limit], [row], **look | {"marker": arrow, "markersize": 6})


def _diamond(filled: bool) -> dict[str, Any]:
    face = INK if filled else "white"
    return {
        "marker": "D",
        "markersize": 4.2,
        "color": INK,
        "markerfacecolor": face,
        "markeredgewidth": 0.9,
        "zorder": 4,
    }


def forest_legend(axes: Sequence[Axes], interval: str) -> list[Artist]:
    """Return legend entries for what ``plot_forest`` has drawn.

    Args:
        axes: The axes.
        interval: Name of the interval, such as ``95% interval``.
    """
    drawn = {label for ax in axes for label in ax.get_legend_handles_labels()[1]}
    return [
        Line2D([], [], linewidth=1.8, label=f"{label}, {interval}", **_diamond(label == _SIGNIFICANT))
        for label in (_SIGNIFICANT, _NOT_SIGNIFICANT)
        if label in drawn
    ]
