"""Seeds that did not learn: their training accuracy and dead units, and the share of collapsed seeds over settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from src.analysis.collapse import collapsed_runs
from src.analysis.formatting import natural_order
from src.plotting.style import INK, class_colors, plain, style, wrapped

_DEAD_UNITS = re.compile(r"train/dead_units/(\d+)")
_COLLAPSED, _NORMAL = "collapsed", "a seed that learned"
_MAX_SETTINGS = 12  # values of one setting that a map shows
_MIN_CELLS = 4
_MAX_SEEDS = 300  # legible as one dot each; more are drawn as a density
_MAX_DOTS = 1000  # more are an image, as files of vectors would grow with them


@dataclass(frozen=True)
class Curve:
    """The training accuracy of one seed: epochs (E,) and accuracies (E,)."""

    epoch: NDArray[np.integer]
    accuracy: NDArray[np.floating]


@dataclass(frozen=True)
class CollapsedSeeds:
    """The collapsed seeds of one condition.

    Attributes:
        title: Name of the condition.
        curves: Training accuracy of collapsed seeds.
        normal: Training accuracy of a seed that learned, or None where none did.
        dead: Share of dead units by layer of each collapsed seed, (n, layers); no column without ReLU.
        dead_normal: The same of each other seed, (m, layers).
    """

    title: str
    curves: list[Curve]
    normal: Curve | None
    dead: NDArray[np.floating]
    dead_normal: NDArray[np.floating]


def dead_unit_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns with the share of dead units, by layer."""
    found = {int(match[1]): name for name in runs.columns if (match := _DEAD_UNITS.fullmatch(str(name)))}
    return [found[layer] for layer in sorted(found)]


def collapse_figure(conditions: Sequence[CollapsedSeeds]) -> Figure:
    """Return one row per condition: training accuracy by epoch, and the share of dead units by layer.

    Args:
        conditions: At least one.
    """
    panels = 2 if any(each.dead.shape[1] for each in conditions) else 1
    with style():
        figure = Figure(figsize=(3.6 + 2.6 * (panels - 1), 0.6 + 1.9 * len(conditions)))
        grid = figure.subplots(len(conditions), panels, squeeze=False, width_ratios=[3, 2][:panels])
        for axes, each in zip(grid, conditions, strict=True):
            plot_curves(axes[0], each)
            axes[0].set_title(plain(wrapped(each.title)))
            if each.dead.shape[1]:
                plot_dead_units(axes[1], each)
            elif panels > 1:
                axes[1].set_axis_off()
        collapsed, normal = class_colors(2)[1], INK
        entries = [
            Line2D([], [], color=collapsed, marker="o", markersize=3, markerfacecolor="white", label=_COLLAPSED),
            Line2D([], [], color=normal, marker="o", markersize=3, label=_NORMAL),
        ]
        figure.legend(handles=entries, loc="outside lower center", ncols=2)
    return figure


def plot_curves(ax: Axes, seeds: CollapsedSeeds) -> Axes:
    """Draw the training accuracy of the collapsed seeds of a condition beside that of one that learned."""
    shown = [(curve, class_colors(2)[1], _COLLAPSED) for curve in seeds.curves]
    if seeds.normal is not None:
        shown.append((seeds.normal, INK, _NORMAL))
    for curve, color, label in shown:
        marker = "o" if len(curve.epoch) == 1 else None  # a line through one epoch is invisible
        ax.plot(curve.epoch, curve.accuracy, color=color, linewidth=0.9, marker=marker, markersize=3, label=label)
    ax.set(xlabel="epoch", ylabel="training accuracy")
    ax.margins(x=0.01)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.grid(axis="y")
    return ax


def plot_dead_units(ax: Axes, seeds: CollapsedSeeds) -> Axes:
    """Draw the share of dead units of each layer: one dot per seed, collapsed ones hollow, or a density of many."""
    layers = np.arange(1, max(seeds.dead.shape[1], seeds.dead_normal.shape[1]) + 1)
    normal: dict[str, Any] = {"markersize": 3, "color": INK, "alpha": 0.5}
    hollow: dict[str, Any] = {"markersize": 4, "color": class_colors(2)[1], "markerfacecolor": "white"}
    for shares, shift, look in ((seeds.dead_normal, -0.12, normal), (seeds.dead, 0.12, hollow)):
        if len(shares) > _MAX_SEEDS:
            side: Literal["low", "high"] = "low" if shift < 0 else "high"
            _draw_densities(ax, layers[: shares.shape[1]], 100 * shares, side, look["color"])
            continue
        across = np.tile(layers[: shares.shape[1]] + shift, len(shares))
        ax.plot(across, 100 * shares.ravel(), linestyle="none", marker="o", rasterized=shares.size > _MAX_DOTS, **look)
    ax.set_xticks(layers)
    ax.set(xlabel="hidden layer", ylabel="dead units (%)", xlim=(0.5, len(layers) + 0.5), ylim=(-4, 104))
    ax.grid(axis="y")
    return ax


def _draw_densities(
    ax: Axes, layers: NDArray[np.integer], percent: NDArray[np.floating], side: Literal["low", "high"], color: str
) -> None:
    """Draw a density of the values of each layer, (n, layers), to the left or to the right of it."""
    drawn: Any = ax.violinplot(percent, positions=layers, widths=0.8, side=side, showextrema=False)
    for body in drawn["bodies"]:
        body.set(facecolor=color, edgecolor=color, alpha=0.5, linewidth=0.6)


def collapse_map_figure(runs: pd.DataFrame) -> Figure | None:
    """Return the share of collapsed seeds over two settings, one panel per loss, class count and other setting.

    Args:
        runs: The completed runs.

    Returns:
        The figure, whose columns are the setting with the most values and whose rows are the next one; None where
        fewer than two settings differ, or it is not recorded which runs collapsed.
    """
    known = runs.assign(collapsed=collapsed_runs(runs)).dropna(subset=["collapsed"])
    between = list(runs.columns[runs.columns.get_loc("classes") + 1 : runs.columns.get_loc("seed")])
    counts = known[between].nunique()
    axes_of_map = [str(name) for name in counts[counts > 1].sort_values(ascending=False, kind="stable").index[:2]]
    if len(axes_of_map) < 2 or counts[axes_of_map].prod() < _MIN_CELLS or counts.max() > _MAX_SETTINGS:
        return None
    across, down = axes_of_map
    others = [name for name in ["loss", "classes", *between] if name not in axes_of_map and known[name].nunique() > 1]
    panels = list(product(*(sorted(known[name].unique()) for name in others)))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.26 * counts[down] + 0.9
    with style():
        figure = Figure(figsize=(1.6 + (0.5 * counts[across] + 0.5) * columns, 0.3 + height * rows))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
        for ax, values in zip(grid, panels, strict=False):
            mine = known[(known[others] == list(values)).all(axis=1)] if others else known
            title = ", ".join(_named(name, value) for name, value in zip(others, values, strict=True))
            rates = mine.pivot_table("collapsed", down, across)
            plot_rates(
                ax, rates.loc[sorted(rates.index, key=natural_order), sorted(rates.columns, key=natural_order)], title
            )
        for ax in list(grid)[len(panels) :]:
            ax.set_axis_off()
        figure.supxlabel(across.rpartition(".")[2], fontsize=8)
        figure.supylabel(down.rpartition(".")[2], fontsize=8)
    return figure


def _named(name: str, value: object) -> str:
    return str(value) if name == "loss" else f"{value} classes" if name == "classes" else f"{name}={value}"


def plot_rates(ax: Axes, rates: pd.DataFrame, title: str) -> Axes:
    """Draw shares in [0, 1] as cells with their percentages: rows and columns are values of two settings."""
    shares = rates.to_numpy()
    ax.imshow(shares, cmap="Greys", vmin=0, vmax=1.25, aspect="auto")
    for row, column in np.argwhere(np.isfinite(shares)):
        share = shares[row, column]
        color = "white" if share > 0.6 else INK
        ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=7)
    ax.set_xticks(range(rates.shape[1]), [plain(str(name)) for name in rates.columns])
    ax.set_yticks(range(rates.shape[0]), [plain(str(name)) for name in rates.index])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.set_title(plain(wrapped(title)))
    return ax
