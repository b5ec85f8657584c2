"""Figures that compare the conditions of a study: accuracy, loss curves and scatter plots."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.analysis.collapse import collapsed_runs
from src.analysis.formatting import metric_label
from src.analysis.replicate import Replicate
from src.analysis.run_files import Curves, Predictions
from src.analysis.summary import ACCURACIES, BALANCED, MAJORITY, has_unequal_classes
from src.plotting.run_figures import Regions, plot_test_scatter, scatter_legend, set_loss_scale
from src.plotting.style import plain, series_colors, style, wrapped
from src.report.figures.boxes import Group, box_legend, plot_accuracy_boxes

_TITLES = {
    "test/accuracy": "test accuracy (test samples)",
    "population/accuracy": "population accuracy (exact)",
    BALANCED: "balanced test accuracy",
}
_COLUMNS = 4


@dataclass(frozen=True)
class Panel:
    """The test samples of one run, with their title.

    Attributes:
        label: Name of the condition without its class count.
        classes: Number of classes C.
        predictions: The test samples.
        seed: The seed, or the name of a run of a crossed design.
        population: Its population accuracy, or None where the distribution is not known.
        regions: Its decision regions, or None where they were not saved.
    """

    label: str
    classes: int
    predictions: Predictions
    seed: int | str
    population: float | None = None
    regions: Regions | None = None

    @property
    def title(self) -> str:
        """The condition and the accuracy of the run."""
        target = self.predictions.target
        correct = int((self.predictions.pred == target).sum())
        score = f"{correct}/{len(target)} = {correct / len(target):.2f}"
        known = "" if self.population is None else f", population {self.population:.3f}"
        who = f"seed {self.seed}" if isinstance(self.seed, int) else self.seed
        return f"{wrapped(self.label)}\n{self.classes} classes, {who}\n{score}{known}"


def accuracy_figure(runs: pd.DataFrame, alpha: float = 0.05, replicate: Replicate | None = None) -> Figure:
    """Return box plots of test and population accuracy, side by side on the same scale.

    Args:
        runs: The completed runs. Where none has a population accuracy there is one panel.
        alpha: Error rate of the intervals.
        replicate: The replicate that they are based on; single runs by default.
    """
    leading = [BALANCED] if has_unequal_classes(runs) else []
    shown = [metric for metric in [*leading, *ACCURACIES] if metric in runs.columns and runs[metric].notna().any()]
    groups = {metric: condition_groups(runs, metric, replicate or Replicate()) for metric in shown}
    names = {group.label for group in groups[shown[0]]}
    lines = max(wrapped(name).count("\n") + 1 for name in names)
    rows = len(groups[shown[0]]) + runs["classes"].nunique()
    with style():
        figure = Figure(figsize=(1.2 + 2.9 * len(shown), 0.9 + rows * max(0.3, 0.14 * lines + 0.06)))
        axes = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for ax, metric in zip(axes, shown, strict=True):
            plot_accuracy_boxes(ax, groups[metric], 1 - alpha)
            title = _TITLES[metric] if len(shown) > 1 else metric_label(metric)
            ax.set(title=title, xlabel="accuracy")
            ax.label_outer()
        entries = box_legend(axes, 1 - alpha)
        columns = 2 if len(shown) == 1 else min(len(entries), 4) if len(entries) not in (5, 6) else 3
        figure.legend(handles=entries, loc="outside lower center", ncols=columns)
    return figure


def condition_groups(runs: pd.DataFrame, metric: str, replicate: Replicate) -> list[Group]:
    """Return the conditions in blocks of rising class count, in the order of the runs inside a block."""
    groups = []
    for _, group in runs.groupby("fingerprint", sort=False):
        known = group.dropna(subset=[metric])
        values, hollow = known[metric].to_numpy(dtype=float), collapsed_runs(known).to_numpy() == 1
        label, classes = group["label"].iloc[0], int(group["classes"].iloc[0])
        bayes, linear, ideal = (_median(group, f"{name}/accuracy") for name in ("bayes", "linear", "ideal"))
        ideal = None if ideal is None or bayes is None or ideal > bayes - 1e-9 else ideal
        majority = 1 / classes if metric == BALANCED else _median(group, MAJORITY) if metric == ACCURACIES[0] else None
        majority = majority if has_unequal_classes(group) else None
        means, overlap = replicate.means(group, metric), replicate.overlap_of(group["fingerprint"].unique())
        groups.append(Group(label, classes, values, bayes, linear, ideal, means, hollow, majority, overlap))
    return sorted(groups, key=lambda group: group.classes)


def _median(group: pd.DataFrame, metric: str) -> float | None:
    """Return the median of a reference that all runs of a condition share, or None where none has it."""
    value = group[metric].median() if metric in group.columns else float("nan")
    return None if pd.isna(value) else float(value)


def loss_curves_figure(runs: pd.DataFrame, curves: Mapping[str, Curves]) -> Figure:
    """Return the loss curves, one panel per label and one line per class count.

    Args:
        runs: The completed runs.
        curves: The curves by fingerprint of the condition, at least one.
    """
    conditions = runs[runs["fingerprint"].isin(curves)].drop_duplicates("fingerprint")
    labels = list(dict.fromkeys(conditions["label"]))
    names = [f"{classes} classes" for classes in sorted(conditions["classes"].unique())]
    colors = dict(zip(names, series_colors(len(names)), strict=True))
    columns = min(_COLUMNS, len(labels))
    rows = ceil(len(labels) / columns)
    with style():
        figure = Figure(figsize=(1.6 + 2.6 * columns, 0.1 + 2.1 * rows))
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for label, ax in zip(labels, axes, strict=False):
            mine = conditions[conditions["label"] == label].sort_values("classes")
            named = {f"{row['classes']} classes": curves[row["fingerprint"]] for _, row in mine.iterrows()}
            plot_loss_curves(ax, named, colors)
            ax.set_title(plain(wrapped(label)))
        for ax in axes[len(labels) :]:
            ax.set_axis_off()
        title = "median and quartiles\nof the seeds"
        lines = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
        figure.legend(handles=lines, title=title, loc="outside right upper", alignment="left")
    return figure


def plot_loss_curves(ax: Axes, curves: Mapping[str, Curves], colors: Mapping[str, str]) -> Axes:
    """Draw, for each condition, the median loss over its seeds and the band between the quartiles.

    The scale is logarithmic where the medians are positive and span more than a factor of ten, else linear.

    Args:
        ax: Where to draw.
        curves: The seeds' losses by name of the condition.
        colors: A colour for each name.

    Returns:
        The same axes.
    """
    medians = []
    for name, each in curves.items():
        known = np.isfinite(each.loss).any(axis=0)  # (E,)
        low, median, high = np.nanquantile(each.loss[:, known], [0.25, 0.5, 0.75], axis=0)
        ax.fill_between(each.epoch[known], low, high, color=colors[name], alpha=0.25, linewidth=0)
        marker = "o" if len(median) == 1 else None  # neither a line nor a band through one epoch is visible
        ax.plot(
            each.epoch[known], median, color=colors[name], linewidth=1.1, marker=marker, markersize=3, label=plain(name)
        )
        if marker:
            ax.vlines(each.epoch[known], low, high, color=colors[name], linewidth=1.1)
        medians.append(median)
    ax.set(xlabel="epoch", ylabel="training loss")
    ax.margins(x=0.01)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.grid(axis="y")
    set_loss_scale(ax, np.concatenate(medians))
    return ax


def scatter_comparison_figure(panels: Sequence[Panel]) -> Figure:
    """Return scatter plots, one column per label and one row per class count; further labels go below.

    Args:
        panels: At least one; no two share both label and classes.
    """
    labels = list(dict.fromkeys(panel.label for panel in panels))
    counts = sorted({panel.classes for panel in panels})
    columns = min(_COLUMNS, len(labels))
    blocks = [labels[start : start + columns] for start in range(0, len(labels), columns)]
    rows = [row for block in blocks for row in _rows(panels, block, counts)]
    with style():
        figure = Figure(figsize=(1.3 + 2.7 * columns, 0.2 + 2.8 * len(rows)))
        share: Literal["none", "row"] = "none" if any(panel.regions for panel in panels) else "row"  # regions have ends
        grid = figure.subplots(len(rows), columns, squeeze=False, sharex=share, sharey=share)
        for axes, row in zip(grid, rows, strict=True):
            first = next(column for column, panel in enumerate(row) if panel)
            for column, ax in enumerate(axes):
                panel = row[column] if column < len(row) else None
                if panel:
                    _draw_panel(ax, panel, outer=column == first or share == "none")
                else:
                    ax.set_axis_off()
            scatter_legend(axes, next(panel.classes for panel in row if panel))
    return figure


def _rows(panels: Sequence[Panel], labels: Sequence[str], counts: Sequence[int]) -> Iterator[list[Panel | None]]:
    """Yield the panels of some labels, None where there is none, for each class count that any of them has."""
    found = {(panel.label, panel.classes): panel for panel in panels}
    for classes in counts:
        row = [found.get((label, classes)) for label in labels]
        if any(row):
            yield row


def _draw_panel(ax: Axes, panel: Panel, *, outer: bool) -> None:
    """Draw one panel; only the outer one of a row has a label on its x2 axis."""
    points, classes = panel.predictions, panel.classes
    plot_test_scatter(
        ax, points.x, points.target, points.pred, classes=classes, regions=panel.regions, title=panel.title
    )
    ax.tick_params(labelleft=outer)
    if not outer:
        ax.set_ylabel("")
