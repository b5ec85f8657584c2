"""Loss surfaces of a logistic unit over its two parameters, and their gradient norms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from src.plotting.style import INK, class_markers, series_colors, style

_MIN_NORM = 1e-6  # lower end of the colour scale
_ARROWS = 13  # per axis


@dataclass(frozen=True)
class Surface:
    """A loss over a grid of (w, b).

    Attributes:
        w: Grid values of the weight, (G1,), increasing.
        b: Grid values of the bias, (G2,), increasing.
        loss: The loss, (G2, G1).
        gradient: Its derivatives by w and by b, (G2, G1, 2).
    """

    w: NDArray[np.floating]
    b: NDArray[np.floating]
    loss: NDArray[np.floating]
    gradient: NDArray[np.floating]

    @property
    def norm(self) -> NDArray[np.floating]:
        """The gradient norm, (G2, G1)."""
        norm: NDArray[np.floating] = np.hypot(self.gradient[..., 0], self.gradient[..., 1])
        return norm

    @property
    def lowest(self) -> tuple[float, float]:
        """The grid point (w, b) of the lowest loss."""
        row, column = np.unravel_index(self.loss.argmin(), self.loss.shape)
        return float(self.w[column]), float(self.b[row])


def plot_surface(ax: Axes, surface: Surface) -> Axes:
    """Draw contours of a loss, arrows along the negative gradient, and the lowest grid point."""
    levels = np.linspace(surface.loss.min(), surface.loss.max(), 21)
    filled = ax.contourf(surface.w, surface.b, surface.loss, levels=levels, cmap="viridis")
    filled.set_edgecolor("face")  # no seams in vector formats
    colorbar = ax.figure.colorbar(filled, ax=ax, format="{x:.3g}")
    colorbar.outline.set_visible(False)
    rows, columns = (np.linspace(0, len(axis) - 1, _ARROWS + 2).round().astype(int) for axis in (surface.b, surface.w))
    rows, columns = rows[1:-1], columns[1:-1]
    chosen = np.ix_(rows, columns)
    length = np.maximum(surface.norm[chosen], np.finfo(float).tiny)
    down = -surface.gradient[chosen] / length[..., None] * np.sqrt(length / length.max())[..., None]
    ax.quiver(surface.w[columns], surface.b[rows], down[..., 0], down[..., 1], color="white", scale=_ARROWS * 1.2)
    return _mark(ax, surface)


def plot_norm(ax: Axes, surface: Surface, top: float) -> Axes:
    """Draw the gradient norm on a logarithmic scale that ends at ``top``, and the lowest grid point."""
    mesh = ax.pcolormesh(
        surface.w,
        surface.b,
        np.maximum(surface.norm, _MIN_NORM),
        norm=LogNorm(_MIN_NORM, top),
        cmap="magma",
        rasterized=True,
    )
    colorbar = ax.figure.colorbar(mesh, ax=ax)
    colorbar.outline.set_visible(False)
    return _mark(ax, surface)


def _mark(ax: Axes, surface: Surface) -> Axes:
    w, b = surface.lowest
    ax.plot([w], [b], marker="*", markersize=9, color="white", markeredgecolor=INK, linestyle="none")
    ax.set(xlabel="w", ylabel="b")
    return ax


def surfaces_figure(surfaces: Mapping[str, Surface]) -> Figure:
    """Return one row per loss: its contours and its gradient norm.

    Args:
        surfaces: The surfaces by the name of their loss.
    """
    top = max(float(surface.norm.max()) for surface in surfaces.values())
    with style():
        figure = Figure(figsize=(7.2, 0.3 + 2.9 * len(surfaces)))
        grid = figure.subplots(len(surfaces), 2, squeeze=False, sharex=True, sharey=True)
        for (left, right), (name, surface) in zip(grid, surfaces.items(), strict=True):
            plot_surface(left, surface).set_title(f"{name}: loss and negative gradient")
            plot_norm(right, surface, top).set_title(f"{name}: gradient norm")
    return figure


def distance_figure(distance: NDArray[np.floating], norms: Mapping[str, Sequence[float]]) -> Figure:
    """Return the gradient norm against the distance from the optimum.

    Args:
        distance: Distances, (K,).
        norms: Gradient norms at these distances, (K,), by the name of the loss.
    """
    with style():
        figure = Figure(figsize=(4.8, 3.0))
        ax = figure.subplots()
        looks = zip(series_colors(len(norms)), class_markers(len(norms)), strict=True)
        for (name, values), (color, marker) in zip(norms.items(), looks, strict=True):
            ax.plot(distance, values, color=color, marker=marker, markersize=3.5, label=name)
        ax.set_yscale("log")
        ax.set(
            xlabel="distance from the optimum, on the wrong side",
            ylabel="gradient norm",
            title="gradient of a logistic unit that is certain and wrong",
        )
        ax.grid(axis="y")
        ax.legend(loc="lower left")
    return figure
