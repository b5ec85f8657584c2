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

from src.analysis.comparisons import scale
from src.analysis.conclusions import decimals, number, spoken
from src.plotting.style import INK, MUTED, label_rows, plain, style, wrapped

_SIGNIFICANT, _NOT_SIGNIFICANT, _BCA = (
    "significant after Holm's correction",
    "not significant",
    "BCa bootstrap interval",
)


@dataclass(frozen=True)
class Difference:
    """One comparison.

    Attributes:
        block: Heading of its group, such as ``2 classes``.
        label: Name of the loss and setting.
        value: Mean paired difference.
        low: Lower end of its t interval; NaN where there is none.
        high: Upper end.
        bca_low: Lower end of its BCa interval; NaN where there is none.
        bca_high: Upper end.
        different: Whether the difference is significant after correction.
        text: Text to the right of it, such as ``0.4 [-0.3, 1.1]``.
    """

    block: str
    label: str
    value: float
    low: float
    high: float
    bca_low: float
    bca_high: float
    different: bool
    text: str


def differences(comparisons: pd.DataFrame) -> list[Difference]:
    """Return the rows of the plot from what ``src.analysis.comparisons.compare_losses`` returns, class counts first."""
    single = comparisons["classes"].str.isdecimal()
    ordered = comparisons.assign(order=comparisons["classes"].where(single, "inf").astype(float))
    rows = []
    for _, row in ordered.sort_values("order", kind="stable").iterrows():
        block = f"{row['classes']} classes" if row["classes"].isdecimal() else "mean over class counts"
        label = ", ".join(filter(None, [row["loss"], row["setting"]]))
        ends = {name: float(row[name]) for name in ("low", "high", "bca_low", "bca_high")}
        rows.append(
            Difference(block, label, float(row["difference"]), **ends, different=row["different"], text=_text(row))
        )
    return rows


def _text(row: pd.Series) -> str:
    places = decimals(row["low"], row["high"])
    value, low, high = (number(row[name], places) for name in ("difference", "low", "high"))
    if pd.isna(row["difference"]):
        return "no common seed"
    return f"{value} [{low}, {high}]" if pd.notna(row["low"]) else f"{value}, no interval"


def forest_figure(comparisons: pd.DataFrame, baseline: str, alpha: float) -> Figure:
    """Return the forest plot of the comparisons on one metric.

    Args:
        comparisons: At least one row of what ``src.analysis.comparisons.compare_losses`` returns.
        baseline: Name of the baseline.
        alpha: Error rate of the intervals.
    """
    rows = differences(comparisons)
    metric = comparisons["metric"].iloc[0]
    lines = max(wrapped(row.label).count("\n") + 1 for row in rows)
    height = 1.2 + (len(rows) + len({row.block for row in rows})) * max(0.22, 0.14 * lines + 0.06)
    with style():
        figure = Figure(figsize=(6.6, height))
        ax = plot_forest(figure.subplots(), rows)
        unit = " (points)" if scale(metric) > 1 else ""
        ax.set(
            title=plain(f"{spoken(metric)}: difference from {wrapped(baseline)}"),
            xlabel=f"mean paired difference{unit}",
        )
        figure.legend(handles=forest_legend(ax, f"{1 - alpha:.0%} t interval"), loc="outside lower center")
    return figure


def plot_forest(ax: Axes, differences: Sequence[Difference]) -> Axes:
    """Draw one row per comparison, from the top, grouped under headings.

    A row has the t interval as a line, the BCa interval as a thin one below it, and the mean as a diamond, filled
    where the difference is significant after correction. The numbers are on the right.

    Args:
        ax: Where to draw.
        differences: At least one, in order; those of one block stand together.

    Returns:
        The same axes.
    """
    ticks: list[tuple[float, str, str]] = []
    row = 0.0
    for block in dict.fromkeys(each.block for each in differences):
        ticks.append((row, block, ""))
        for each in (each for each in differences if each.block == block):
            row += 1
            _draw(ax, row, each)
            ticks.append((row, plain(wrapped(each.label)), each.text))
        row += 1
    ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    ax.set_ylim(row - 0.4, -0.6)
    label_rows(ax, ticks)
    ax.grid(axis="x")
    return ax


def _draw(ax: Axes, row: float, each: Difference) -> None:
    ends = np.array([each.low, each.high])
    if np.isfinite(ends).all():
        ax.plot(ends, [row, row], color=INK, linewidth=1.8, solid_capstyle="butt", zorder=3)
    bootstrap = np.array([each.bca_low, each.bca_high])
    if np.isfinite(bootstrap).all():
        ax.plot(bootstrap, [row + 0.24] * 2, color=MUTED, linewidth=0.9, solid_capstyle="butt", zorder=2, label=_BCA)
    if np.isfinite(each.value):
        label = _SIGNIFICANT if each.different else _NOT_SIGNIFICANT
        ax.plot([each.value], [row], linestyle="none", label=label, **_diamond(each.different))


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


def forest_legend(ax: Axes, interval: str) -> list[Artist]:
    """Return legend entries for what ``plot_forest`` has drawn.

    Args:
        ax: The axes.
        interval: Name of the t interval, such as ``95% t interval``.
    """
    drawn = set(ax.get_legend_handles_labels()[1])
    entries: list[Artist] = [
        Line2D([], [], linewidth=1.8, label=f"{_SIGNIFICANT}, {interval}", **_diamond(True)),
        Line2D([], [], linewidth=1.8, label=f"{_NOT_SIGNIFICANT}, {interval}", **_diamond(False)),
        Line2D([], [], linewidth=0.9, color=MUTED, label=_BCA),
    ]
    kept = {
        f"{_SIGNIFICANT}, {interval}": _SIGNIFICANT,
        f"{_NOT_SIGNIFICANT}, {interval}": _NOT_SIGNIFICANT,
        _BCA: _BCA,
    }
    return [entry for entry in entries if kept[str(entry.get_label())] in drawn]
