"""The vertical lines of the noisy cubic, on which its x lie."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from torch import Tensor

from src.data.noisy_cubic import NoisyCubic
from src.metrics.changes import SAFETY, Changes, Edges, Field, difference, find_changes, margin_of

MAX_PANELS = 1024  # on each line
NODES = 3  # Gauss-Legendre nodes of each panel
LEGENDRE = leggauss(NODES)  # nodes and weights on [-1, 1]
MAX_LINES = 512
TOLERANCE = 1e-9  # of the mass at one change, as all lines may err to the same side
SEARCHES = 6  # rounds in which a part is searched for decisions between equal ones

Array = NDArray[Any]


class CubicLines:
    """The noisy cubic on vertical lines, on each of which the distance from the cubic has the same distribution.

    A place is the number of a line and a distance from the cubic in y. The places of a line are the Gauss-Legendre
    nodes of some panels, in which every density is smooth, and both ends of the line, which have no mass.

    Args:
        distribution: The noisy cubic. A grid of more than ``MAX_LINES`` values of x is thinned to as many.
        panels: About how many panels a line has.

    Attributes:
        classes: Number of classes C.
        smooth: Whether the posterior is continuous.
        shape: The numbers of lines L and of places P on each.
        features: These as features (L * P, 2).
    """

    def __init__(self, distribution: NoisyCubic, panels: int) -> None:
        self._distribution = distribution
        self._panels = panels
        self.classes, self.smooth = distribution.classes, distribution.noise == "gaussian"
        x1 = distribution.lines(MAX_LINES)
        self._x1, self._curve = x1.numpy(), distribution.curve(x1).numpy()
        self._bounds = distribution.cell_edges(panels).numpy()
        nodes, weights = _gauss_legendre(self._bounds[:-1], self._bounds[1:])
        self._noise = np.concatenate([self._bounds[:1], nodes.ravel(), self._bounds[-1:]])  # (P,)
        self._mass = np.zeros((len(self._noise), self.classes))  # (P, C)
        self._mass[1:-1] = self._joint(nodes, weights)
        middle, width = (self._noise[1:] + self._noise[:-1]) / 2, np.diff(self._noise)
        self._part_mass = self._joint(middle[:, None], width[:, None]).sum(1)  # (P - 1,), between neighbours
        self.shape = len(x1), len(self._noise)
        line, noise = np.arange(len(x1)).repeat(len(self._noise)), np.tile(self._noise, len(x1))
        self.features = self.points(np.stack([line, noise], axis=1))

    @cached_property
    def finer(self) -> "CubicLines | None":
        """The same lines with twice the panels, up to ``MAX_PANELS``."""
        return CubicLines(self._distribution, 2 * self._panels) if self._panels < MAX_PANELS else None

    @property
    def mass(self) -> Array:
        """The joint masses at the places (L * P, C)."""
        return np.tile(self._mass, (self.shape[0], 1))

    def points(self, place: Array) -> Tensor:
        """Return places as features: (M, 2) -> (M, 2)."""
        line = place[:, 0].astype(int)
        return torch.from_numpy(np.stack([self._x1[line], self._curve[line] + place[:, 1]], axis=1))

    def changing(self, decided: Array) -> Array:
        """Return the share of neighbours on a line whose decisions differ: (S, L, P) -> (S,)."""
        return (decided[..., 1:] != decided[..., :-1]).mean((1, 2))

    def accuracies(self, field: Field, scores: Array, decided: Array) -> list[tuple[float, Array]]:
        """Return the accuracy of S classifiers, and the places where their decisions change, in order (K, 2).

        Args:
            field: See ``find_changes``.
            scores: Scores at the places of the lines (S, L, P, C).
            decided: Decisions there (S, L, P).
        """
        edges, mass = self._edges(scores, decided)
        changes = find_changes(field, edges, mass, TOLERANCE, SEARCHES)
        found = []
        for owner, own in enumerate(decided):
            some = changes.of(owner, edges)
            place = some.points(edges)
            found.append((self._accuracy(own, place, some), place))
        return found

    def _edges(self, scores: Array, decided: Array) -> tuple[Edges, Array]:
        """Return the parts between neighbouring places in which a decision changes or may do so, and their masses (E,).

        It may change and change back where the scores, extended in a straight line from the part before or behind,
        decide otherwise at the other end. Scores with one kink in the part lie on these two lines.

        Args:
            scores: Scores of S classifiers at the places (S, L, P, C).
            decided: Decisions there (S, L, P).
        """
        width = np.diff(self._noise)
        chosen = np.stack([_chosen(*own, width) for own in zip(scores, decided, strict=True)])
        owner, line, part = chosen.nonzero()
        before, behind = np.maximum(part - 1, 0), np.minimum(part + 1, len(width) - 1)
        at = lambda index: (scores[owner, line, index], decided[owner, line, index])  # noqa: E731
        slopes = [difference(at(each)[0], at(each + 1)[0]) / width[each] for each in (before, part, behind)]
        label = decided[owner, line, part]
        start, end = margin_of(*at(part), label), margin_of(*at(part + 1), label)
        falls = [
            np.where(part > 0, (margin_of(*at(before), label) - start) / width[before], 0),
            np.where(part < len(width) - 1, (margin_of(*at(behind + 1), label) - end) / width[behind], 0),
        ]
        edges = Edges(
            owner,
            np.stack([line, self._noise[part]], axis=1),
            np.stack([np.zeros_like(width[part]), width[part]], axis=1),
            np.stack([at(part)[0], at(part + 1)[0]], axis=1),
            np.stack([at(part)[1], at(part + 1)[1]], axis=1),
            SAFETY * np.max(slopes, axis=0) * width[part],
            np.stack(falls, axis=1) * width[part, None],
        )
        return edges, self._part_mass[part]

    def _accuracy(self, decided: Array, place: Array, changes: Changes) -> float:
        """Return the joint mass of the decisions and the classes.

        Args:
            decided: The decisions at the places (L, P).
            place: Where the decision changes (K, 2).
            changes: These changes (K,).
        """
        below = self._distribution.mass_below(torch.from_numpy(np.append(place[:, 1], np.inf))).numpy()
        rows = np.arange(len(place))
        inner = below[rows, changes.before] - below[rows, changes.behind]
        return float(inner.sum() + below[-1, decided[:, -1]].sum()) / self.shape[0]

    def cut(self, place: Array) -> tuple[Array, Array, Array]:
        """Cut the panels in which a decision changes into pieces in which it does not.

        Args:
            place: Where the decision changes, in order (K, 2).

        Returns:
            The masses at the places without those in the panels that are cut (L * P, C), and places in the pieces
            (M, 2) with their masses (M, C).
        """
        lines, _ = self.shape
        line, noise, panels = place[:, 0].astype(int), place[:, 1], len(self._bounds) - 1
        panel = line * panels + (self._bounds.searchsorted(noise, side="right") - 1).clip(0, panels - 1)
        cut, first = np.unique(panel, return_index=True)
        whole = np.ones((lines, panels, 1, 1))
        whole.flat[cut] = 0
        mass = np.zeros((lines, *self._mass.shape))
        np.multiply(
            self._mass[1:-1].reshape(panels, NODES, -1), whole, out=mass[:, 1:-1].reshape(lines, panels, NODES, -1)
        )
        low = np.insert(noise, first, self._bounds[cut % panels])
        high = np.insert(noise, np.append(first[1:], len(noise)), self._bounds[cut % panels + 1])
        nodes, weights = _gauss_legendre(low, high)
        part = np.insert(panel, first, cut) // panels
        return (
            mass.reshape(-1, self.classes),
            np.stack([part.repeat(NODES), nodes.ravel()], axis=1),
            self._joint(nodes, weights),
        )

    def _joint(self, nodes: Array, weights: Array) -> Array:
        """Return the joint masses at nodes with weights: (panels, nodes), (panels, nodes) -> (panels * nodes, C)."""
        density = self._distribution.joint_density(torch.from_numpy(nodes)).numpy()
        return (weights[..., None] / len(self._x1) * density).reshape(-1, self.classes)


def _chosen(scores: Array, decided: Array, width: Array) -> Array:
    """Return in which parts between places a decision changes or may do so: (L, P, C), (L, P) -> (L, P - 1)."""
    chosen = decided[:, 1:] != decided[:, :-1]
    columns = np.moveaxis(scores, -1, 0).copy()  # of each class, as operations on whole arrays are fast
    chosen[:, 1:] |= _leaves(columns, decided, width)
    chosen[:, :-1] |= _leaves(columns[..., ::-1], decided[:, ::-1], width[::-1])[:, ::-1]
    return chosen


def _leaves(scores: Array, decided: Array, width: Array) -> Array:
    """Return whether scores, extended in a straight line across the next part, decide otherwise there.

    Args:
        scores: Scores at places (C, L, P).
        decided: Decisions there (L, P).
        width: The distances between places (P - 1,).

    Returns:
        For all but the first and the last place (L, P - 2).
    """
    if len(scores) == 2:
        lead = scores[0] - scores[1]
        return (_ahead(lead, width) < 0) != (decided[:, 1:-1] == 1)
    ahead = _ahead(scores, width)
    return ahead.max(0) > np.take_along_axis(ahead, decided[None, :, 1:-1], axis=0)[0]


def _ahead(values: Array, width: Array) -> Array:
    """Return values at places, extended in a straight line across the next part: (..., P) -> (..., P - 2)."""
    return values[..., 1:-1] + (values[..., 1:-1] - values[..., :-2]) * (width[1:] / width[:-1])


def _gauss_legendre(low: Array, high: Array) -> tuple[Array, Array]:
    """Return nodes and weights of Gauss-Legendre quadrature on intervals: (panels,) -> (panels, NODES) each."""
    nodes, weights = LEGENDRE
    half = (high - low)[:, None] / 2
    return (low + high)[:, None] / 2 + half * nodes, half * weights
