"""Figures of one run: the loss of every step, and the test samples over the decision regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from src.plotting.style import INK, class_colors, class_markers, plain, series_colors, style

_WHITENESS = 0.78  # share of white in the colour of a decision region


@dataclass(frozen=True)
class Regions:
    """Predicted and Bayes-optimal classes on an evenly spaced grid: decision regions.

    About 400 values per axis show smooth boundaries.

    Attributes:
        x1: Grid values of the first feature, (G1,), increasing.
        x2: Grid values of the second feature, (G2,), increasing.
        pred: Predicted class at each grid point, (G2, G1), in [0, C).
        bayes: A Bayes-optimal class at each grid point, (G2, G1), in [0, C), or None where it is not known.
    """

    x1: NDArray[np.floating]
    x2: NDArray[np.floating]
    pred: NDArray[np.integer]
    bayes: NDArray[np.integer] | None = None


def plot_loss_steps(ax: Axes, loss: NDArray[np.floating], *, window: int = 26, floor: float | None = None) -> Axes:
    """Draw the loss of every optimizer step and, over it, its moving mean.

    The scale is logarithmic where the moving mean is positive and spans more than a factor of ten, otherwise linear.

    Args:
        ax: Where to draw.
        loss: Loss of each step, (T,). Steps that are not finite are left out.
        window: Steps in a centred moving mean, at least 1; by default an epoch of the lecture's recipe.
        floor: The minimum of the loss, drawn as a line, or None.

    Returns:
        The same axes.
    """
    step = np.arange(1, len(loss) + 1)
    finite = np.isfinite(loss)
    step, loss = step[finite], np.asarray(loss, dtype=float)[finite]
    smooth = moving_mean(loss, window)
    pale, strong = "#A8CCE4", series_colors(1)[0]
    thin = 0.4 if len(loss) > 1000 else 1.0
    ax.plot(step, loss, color=pale, linewidth=thin, rasterized=True, label="each step")
    ax.plot(step, smooth, color=strong, linewidth=1.1, label=f"mean of {window} steps")
    if floor is not None:
        ax.axhline(floor, color=INK, linestyle="--", linewidth=0.9, label=f"floor {floor:.4g}")
    ax.set(xlabel="step", ylabel="loss")
    ax.margins(x=0.01)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True))
    set_loss_scale(ax, smooth)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    return ax


def moving_mean(values: NDArray[np.floating], window: int) -> NDArray[np.floating]:
    """Return the centred moving mean, over fewer values near both ends: (T,) -> (T,).

    Example:
        >>> moving_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3)
        array([1.5, 3. , 6. , 7.5])
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    start = np.maximum(centre - (window - 1) // 2, 0)
    stop = np.minimum(centre + window // 2 + 1, len(values))
    return (total[stop] - total[start]) / (stop - start)


def set_loss_scale(ax: Axes, smooth: NDArray[np.floating]) -> None:
    """Make the y axis logarithmic where smoothed losses are positive and span more than a factor of ten.

    A linear axis starts at 0. A logarithmic one ends a factor of ten below the smoothed losses, so that a vanishing
    loss of a single step does not dominate it.
    """
    smooth = smooth[np.isfinite(smooth)]
    if len(smooth) and smooth.min() > 0 and smooth.max() > 10 * smooth.min():
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(smooth.min() / 10, ax.dataLim.minposy / 1.2))
        bottom, top = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 300 * bottom else (1,)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(bottom=0)


def plot_test_scatter(
    ax: Axes,
    x: NDArray[np.floating],
    target: NDArray[np.integer],
    pred: NDArray[np.integer],
    *,
    classes: int,
    regions: Regions | None,
    curve: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    title: str = "",
) -> Axes:
    """Draw test samples, coloured by predicted class and shaped by true class, over the decision regions.

    Args:
        ax: Where to draw. ``scatter_legend`` adds the legend.
        x: Test samples, (N, 2).
        target: True classes, (N,), in [0, C).
        pred: Predicted classes, (N,), in [0, C). Errors get a black ring.
        classes: Number of classes C.
        regions: Decision regions, or None to leave the plane white.
        curve: The noiseless curve, x1 (M,) and x2 (M,), or None.
        title: Text above the plot.

    Returns:
        The same axes.
    """
    if regions is not None:
        _draw_regions(ax, regions, classes)
    if curve is not None:
        line = Line2D(*curve, color="#A8A8A8", linewidth=2.4, label="noiseless curve", zorder=1.5)
        ax.add_artist(line)  # unlike ax.plot, it does not extend the limits
    _draw_samples(ax, x, target, pred, classes)
    ax.set(xlabel="x1", ylabel="x2")
    ax.set_title(plain(title))
    return ax


def _draw_samples(
    ax: Axes, x: NDArray[np.floating], target: NDArray[np.integer], pred: NDArray[np.integer], classes: int
) -> None:
    """Draw the samples of each true class, then a ring around each error."""
    size = float(np.clip(1500 / max(len(x), 1), 4, 22))
    colors = np.array(class_colors(classes))
    for label, marker in enumerate(class_markers(classes)):
        mine = target == label
        look: dict[str, Any] = {"marker": marker, "edgecolors": INK, "linewidths": 0.35, "zorder": 2}
        ax.scatter(x[mine, 0], x[mine, 1], size, colors[pred[mine]], **look)
    wrong = pred != target
    if wrong.any():
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "linewidths": 0.8, "zorder": 3}
        ax.scatter(x[wrong, 0], x[wrong, 1], 3.2 * size, label="wrong", **ring)


def _draw_regions(ax: Axes, regions: Regions, classes: int) -> None:
    """Fill the predicted regions with pale class colours and draw the Bayes boundary."""
    half1, half2 = (regions.x1[1] - regions.x1[0]) / 2, (regions.x2[1] - regions.x2[0]) / 2
    extent = (regions.x1[0] - half1, regions.x1[-1] + half1, regions.x2[0] - half2, regions.x2[-1] + half2)
    pale = [np.array(to_rgb(color)) * (1 - _WHITENESS) + _WHITENESS for color in class_colors(classes)]
    ax.imshow(
        regions.pred,
        cmap=ListedColormap(pale),
        vmin=-0.5,
        vmax=classes - 0.5,
        extent=extent,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        zorder=0,
    )
    if regions.bayes is not None and np.ptp(regions.bayes) > 0:
        boundary: dict[str, Any] = {"colors": INK, "linewidths": 0.9, "linestyles": "dashed", "zorder": 1.6}
        rank = _rank_by_height(regions.bayes)
        ax.contour(regions.x1, regions.x2, rank, levels=np.arange(rank.max()) + 0.5, **boundary)
        ax.plot([], [], color=INK, linewidth=0.9, linestyle="--", label="Bayes boundary")


def _rank_by_height(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Renumber labels from the lowest region to the highest, so that neighbouring bands differ by one.

    Contours between whole numbers are then single lines, whatever order the labels have.
    """
    rows = np.broadcast_to(np.arange(len(labels))[:, None], labels.shape)
    present, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    height = [rows[index == number].mean() for number in range(len(present))]
    return np.argsort(np.argsort(height))[index]


def scatter_legend(axes: Sequence[Axes], classes: int) -> None:
    """Add one legend for axes drawn by ``plot_test_scatter`` to the right of the last."""
    keys = zip(class_colors(classes), class_markers(classes), strict=True)
    look: dict[str, Any] = {"linestyle": "none", "markeredgecolor": INK, "markeredgewidth": 0.35, "markersize": 5}
    entries: dict[str, Artist] = {
        f"class {label}": Line2D([], [], color=color, marker=marker, **look)
        for label, (color, marker) in enumerate(keys)
    }
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    legend: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0, "alignment": "left"}
    axes[-1].legend(list(entries.values()), list(entries), title="colour: predicted\nshape: true", **legend)


def loss_figure(loss: NDArray[np.floating], *, window: int = 26, floor: float | None = None) -> Figure:
    """Return a figure of ``plot_loss_steps``."""
    with style():
        figure = Figure(figsize=(5.6, 3.2))
        plot_loss_steps(figure.subplots(), loss, window=window, floor=floor)
    return figure


def scatter_figure(
    x: NDArray[np.floating], target: NDArray[np.integer], pred: NDArray[np.integer], *, classes: int, **options: Any
) -> Figure:
    """Return a figure of ``plot_test_scatter``, which takes the same arguments, with its legend."""
    with style():
        figure = Figure(figsize=(5.2, 3.6))
        ax = figure.subplots()
        plot_test_scatter(ax, x, target, pred, classes=classes, **options)
        scatter_legend([ax], classes)
    return figure
