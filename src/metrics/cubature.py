"""Adaptive cubature over a rectangle, for functions that are smooth but for some lines."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIMPSON = np.outer([1, 4, 1], [1, 4, 1]) / 36  # weights in a panel of nine points
TRAPEZOID = np.outer([1, 2, 1], [1, 2, 1]) / 16
LEVELS = 3  # in which panels are cut into four
MAX_PANELS = 2**12  # that are cut at once

Array = NDArray[Any]


def adaptive_weights(
    axes: tuple[Array, Array], values: Array, evaluate: Callable[[Array], Array], tolerance: float
) -> Array:
    """Return the weights of points that integrate a function.

    Panels of nine points in which Simpson's rule and the trapezoidal rule differ are cut into four, at whose new points
    the function is evaluated.

    Args:
        axes: The coordinates of a grid, of which each has an odd number in equal steps: (n1,), (n2,).
        values: The function at its corners (n1 * n2,).
        evaluate: Returns the function at more points, (M, 2) -> (M,).
        tolerance: By how much the two rules may differ in a panel.

    Returns:
        The weights of the corners of the grid and of all points that were evaluated, in their order.
    """
    n1, n2 = map(len, axes)
    number = np.arange(n1 * n2).reshape(n1, n2)
    rows = [np.stack([number[i : n1 - 2 + i : 2, j : n2 - 2 + j : 2] for j in range(3)], axis=-1) for i in range(3)]
    panels = np.stack(rows, axis=-2).reshape(-1, 3, 3)
    start = np.stack(np.meshgrid(axes[0][:-2:2], axes[1][:-2:2], indexing="ij"), axis=-1).reshape(-1, 2)
    side = np.array([axis[2] - axis[0] for axis in axes])
    places = np.stack(np.meshgrid(np.arange(5) / 4, np.arange(5) / 4, indexing="ij"), axis=-1)
    new = np.ones((5, 5), dtype=bool)
    new[::2, ::2] = False
    weights = np.zeros(len(values))
    for level in range(LEVELS + 1):
        difference = np.abs(np.einsum("nij,ij->n", values[panels], SIMPSON - TRAPEZOID)) * side.prod()
        cut = np.flatnonzero(difference > tolerance)
        if level == LEVELS or len(cut) > MAX_PANELS:
            cut = cut[:0]
        kept = np.setdiff1d(np.arange(len(panels)), cut, assume_unique=True)
        own = np.tile(SIMPSON.ravel() * side.prod(), len(kept))
        weights += np.bincount(panels[kept].ravel(), own, minlength=len(weights))
        if not len(cut):
            break
        points = (start[cut, None, None] + places * side)[:, new].reshape(-1, 2)
        finer = np.empty((len(cut), 5, 5), dtype=int)
        finer[:, ::2, ::2] = panels[cut]
        finer[:, new] = len(values) + np.arange(len(points)).reshape(len(cut), -1)
        values = np.concatenate([values, evaluate(points)])
        weights = np.concatenate([weights, np.zeros(len(points))])
        corners = [(i, j) for i in (0, 2) for j in (0, 2)]
        panels = np.concatenate([finer[:, i : i + 3, j : j + 3] for i, j in corners])
        start = np.concatenate([start[cut] + side * np.array(corner) / 4 for corner in corners])
        side = side / 2
    return weights
