"""Stacked bars of the parts of a variance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from src.analysis.variance import SEED, TEST_SET, TOTAL
from src.plotting.style import INK, label_rows, plain, series_colors, style, wrapped

_HEIGHT = 0.66
_GREYS = ("#8C8C8C", "#A6A6A6", "#BFBFBF", "#D4D4D4", "#E6E6E6")


@dataclass(frozen=True)
class Bar:
    """The variance of one metric under one condition.

    Attributes:
        block: Heading of its group, such as ``2 classes``.
        label: Name of the condition.
        metric: What it is the variance of, ``population`` or ``test``.
        parts: Variances by source, none below 0, with a sum above 0.
        text: Text to the right of it.
    """

    block: str
    label: str
    metric: str
    parts: dict[str, float]
    text: str


def plot_variance_bars(ax: Axes, bars: Sequence[Bar], colors: Mapping[str, str]) -> Axes:
    """Draw one bar per row, from the top, grouped under headings; its segments are the shares of its parts.

    Args:
        ax: Where to draw.
        bars: At least one, in order.
        colors: A colour for each source.

    Returns:
        The same axes.
    """
    ticks: list[tuple[float, str, str]] = []
    row = 0.0
    for block in dict.fromkeys(bar.block for bar in bars):
        ticks.append((row, block, ""))
        for bar in (bar for bar in bars if bar.block == block):
            row += 1
            left, total = 0.0, sum(bar.parts.values())
            for source, variance in bar.parts.items():
                hatch = "////" if source == TEST_SET else None
                edge: dict[str, Any] = {"edgecolor": INK if hatch else "white", "linewidth": 0.5}
                ax.barh(row, variance / total, _HEIGHT, left, color=colors[source], hatch=hatch, label=source, **edge)
                left += variance / total
            ticks.append((row, plain(f"{wrapped(bar.label)}: {bar.metric}"), bar.text))
        row += 1
    ax.set_ylim(row - 0.4, -0.5)
    ax.set_xlim(0, 1)
    label_rows(ax, ticks)
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return ax


def variance_bars(variance: pd.DataFrame) -> list[Bar]:
    """Return the bars of each condition: population accuracy, if it has several sources, and test accuracy.

    The bar of test accuracy has the sources of population accuracy and the finite test set. Estimates below 0 count as
    0.

    Args:
        variance: What ``src.analysis.variance.decompose`` returns.
    """
    bars = []
    for _, group in variance.groupby("fingerprint", sort=False):
        first = group.iloc[0]
        sources = group[(group["metric"] == "population/accuracy") & (group["source"] != TOTAL)]
        parts = {row["source"]: max(0.0, row["variance"]) for _, row in sources.iterrows()}
        block, label = f"{first['classes']} classes", str(first["label"])
        test_set = group.loc[group["source"] == TEST_SET, "variance"]
        for name, extra in (
            ("population", {}),
            ("test", dict.fromkeys([TEST_SET][: len(test_set)], float(test_set.sum()))),
        ):
            total = sum(parts.values()) + sum(extra.values())
            shown = extra if name == "test" else parts.keys() != {SEED}
            if parts and total > 0 and shown:
                bars.append(Bar(block, label, name, parts | extra, f"sd {total**0.5:.1f} points"))
    return sorted(bars, key=lambda bar: int(bar.block.split()[0]))


def source_colors(bars: Sequence[Bar]) -> dict[str, str]:
    """Return a colour for each source: hues for the streams, greys for their interactions, white for the test set."""
    sources = list(dict.fromkeys(source for bar in bars for source in bar.parts if source != TEST_SET))
    hues = [source for source in sources if ":" not in source and source != "residual"]
    greys = [source for source in sources if source not in hues]
    colors = dict(zip(hues, series_colors(len(hues)), strict=True))
    colors |= {source: _GREYS[index % len(_GREYS)] for index, source in enumerate(greys)}
    return {source: colors[source] for source in sources} | {TEST_SET: "white"}


def variance_figure(bars: Sequence[Bar]) -> Figure:
    """Return the stacked bars with their legend."""
    colors = source_colors(bars)
    lines = max(wrapped(bar.label).count("\n") + 1 for bar in bars)
    rows = len(bars) + len({bar.block for bar in bars})
    height = 1.1 + rows * max(0.25, 0.14 * lines + 0.06)
    with style():
        figure = Figure(figsize=(6.6, height))
        ax = plot_variance_bars(figure.subplots(), bars, colors)
        crossed = SEED not in colors
        ax.set(
            title="variance of accuracy over runs" if crossed else "variance of test accuracy over seeds",
            xlabel="share of the variance",
        )
        drawn = {source for bar in bars for source in bar.parts}
        entries = [
            Patch(
                facecolor=color, edgecolor=INK, linewidth=0.5, hatch="////" * (source == TEST_SET), label=_name(source)
            )
            for source, color in colors.items()
            if source in drawn
        ]
        figure.legend(handles=entries, loc="outside lower center", ncols=4 if crossed else 2)
    return figure


def _name(source: str) -> str:
    return "seed (population accuracy)" if source == SEED else source.replace(":", " x ")
