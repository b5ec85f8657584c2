"""The plane of normal distributions of two features, in coordinates in which their mixture has no correlation."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from src.data.protocols import NormalMixture
from src.metrics.boundary import Boundary, trace
from src.metrics.changes import Changes, Edges, Field

DEVIATIONS = 6.0  # standard deviations around each mean that the grid covers
SPACING = 0.25
MAX_CORNERS = 2**16
LEGENDRE = leggauss(4)  # nodes and weights on [-1, 1] for each segment of a boundary
TOLERANCE = 1e-8  # of the mass of one segment of a boundary
LARGEST = 1e300  # score, so that differences are finite

Array = NDArray[Any]


class NormalPlane:
    r"""A mixture of normal distributions in the plane, whose classes are mixtures of some of its components.

    The mass of what is decided is an integral along the boundaries between decisions. With F_k(x, y) the integral of
    the joint density of class k over the horizontal line from -\infty to x, the mass of class k in a region is the
    integral of F_k dy around it (Green's theorem), in which F_k is a sum of products of a normal density and a normal
    distribution function. The accuracy is the sum of these over the regions of all decisions.

    Args:
        distribution: The distribution.
        spacing: Of the grid, in the smallest standard deviation of a component.

    Attributes:
        classes: Number of classes C.
        smooth: True, as the posterior is continuous.
        fits: Whether the grid has at most ``MAX_CORNERS`` points; the other attributes are those of one that does.
        axes: The coordinates of a grid that covers all of the distribution but a mass of about 1e-9, in equal steps.
        corners: The corners of the grid (M, 2), of which each axis has an odd number.
        shape: The number of these on each axis.
        features: The same as features (M, 2).
        density_at_corners: The joint densities there (M, C).
    """

    smooth = True

    def __init__(self, distribution: NormalMixture, spacing: float = SPACING) -> None:
        self._distribution = distribution
        self._spacing = spacing
        weight, mean, covariance, label = (part.numpy() for part in distribution.normals())
        self._weight, self._label, self.classes = weight, label, distribution.classes
        self._centre = weight @ mean  # (2,)
        residual = mean - self._centre
        total = np.einsum("k,kij->ij", weight, covariance + residual[:, :, None] * residual[:, None, :])
        self._factor = np.linalg.cholesky(total)
        inverse = np.linalg.inv(self._factor)
        self._mean = residual @ inverse.T  # (K, 2)
        self._covariance = inverse @ covariance @ inverse.T  # (K, 2, 2)
        self._precision = np.linalg.inv(self._covariance)
        self._peak = weight * np.sqrt(np.linalg.det(self._precision)) / (2 * math.pi)
        reach = DEVIATIONS * np.sqrt(np.diagonal(self._covariance, axis1=1, axis2=2))  # (K, 2)
        low, high = (self._mean - reach).min(0), (self._mean + reach).max(0)
        step = spacing * math.sqrt(np.linalg.eigvalsh(self._covariance).min())
        counts = 2 * np.ceil((high - low) / (2 * step)).astype(int) + 1  # odd, as panels of a cubature need
        self.fits = bool(counts.prod() <= MAX_CORNERS)
        if self.fits:
            self.axes = np.linspace(low[0], high[0], counts[0]), np.linspace(low[1], high[1], counts[1])
            self.corners = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, 2)
            self.shape = len(self.axes[0]), len(self.axes[1])
            self.features = self.points(self.corners)
            self.density_at_corners = self.joint(self.corners)

    @cached_property
    def finer(self) -> "NormalPlane | None":
        """The same plane with a grid of half the spacing, if that fits."""
        plane = NormalPlane(self._distribution, self._spacing / 2)
        return plane if plane.fits else None

    def points(self, place: Array) -> Tensor:
        """Return coordinates as features: (M, 2) -> (M, 2)."""
        x = np.empty_like(place)
        x[:, 0] = self._factor[0, 0] * place[:, 0] + self._centre[0]
        x[:, 1] = self._factor[1, 0] * place[:, 0] + self._factor[1, 1] * place[:, 1] + self._centre[1]
        return torch.from_numpy(x)

    def density(self, place: Array) -> Array:
        """Return the density of the mixture in these coordinates: (M, 2) -> (M,)."""
        return self._densities(place).sum(1)

    def joint(self, place: Array) -> Array:
        """Return the joint densities of place and class: (M, 2) -> (M, C)."""
        return self._by_class(self._densities(place))

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the prior (C,) and mean (C, 2) of each class and the pooled covariance (2, 2), of the features."""
        member = np.eye(self.classes)[self._label] * self._weight[:, None]  # (K, C)
        prior = member.sum(0)
        mean = member.T @ self._mean / prior[:, None]
        residual = self._mean - mean[self._label]
        pooled = np.einsum("k,kij->ij", self._weight, self._covariance + residual[:, :, None] * residual[:, None, :])
        features = mean @ self._factor.T + self._centre
        return (
            torch.from_numpy(prior),
            torch.from_numpy(features),
            torch.from_numpy(self._factor @ pooled @ self._factor.T),
        )

    def changing(self, decided: Array) -> Array:
        """Return the share of the edges of the grid on which decisions change: (S, n1, n2) -> (S,)."""
        across, up = decided[:, 1:] != decided[:, :-1], decided[:, :, 1:] != decided[:, :, :-1]
        return (across.mean((1, 2)) + up.mean((1, 2))) / 2

    def accuracies(self, field: Field, scores: Array, decided: Array) -> list[tuple[float, Array]]:
        """Return the accuracy of S classifiers, and the places on the grid where their decisions change (K, 2).

        Args:
            field: See ``trace``.
            scores: Scores at the corners of the grid (S, n1, n2, C).
            decided: Decisions there (S, n1, n2).
        """
        boundary, edges, changes = trace(field, self.density, self.axes, scores, decided, TOLERANCE)
        found = []
        for owner, own in enumerate(decided):
            some = changes.of(owner, edges)
            found.append((self.accuracy(boundary.of(owner), edges, some, own), some.points(edges)))
        return found

    def accuracy(self, boundary: Boundary, edges: Edges, changes: Changes, decided: Array) -> float:
        """Return the joint mass of the decisions and the classes.

        Args:
            boundary: The boundaries between the decisions.
            edges: Edges of the grid.
            changes: The changes of the decision on them.
            decided: The decisions at the corners of the grid (n1, n2).
        """
        nodes, weights = LEGENDRE
        middle, half = (boundary.start + boundary.end) / 2, (boundary.end - boundary.start) / 2
        place = middle[:, None] + half[:, None] * nodes[:, None]  # (B, nodes, 2)
        below = self._below(place.reshape(-1, 2)).reshape(len(place), len(nodes), self.classes)
        below = (below * weights[:, None]).sum(1) * half[:, 1:]
        below = np.concatenate([below, np.zeros((len(below), 1))], axis=1)  # the last column for the label -1
        rows = np.arange(len(below))
        inner = below[rows, boundary.left] - below[rows, boundary.right]
        # On the right side of the grid the lines are complete.
        start = edges.start[changes.edge]
        right = (start[:, 0] == self.axes[0][-1]) & (edges.step[changes.edge, 0] == 0)
        height = start[right, 1] + changes.place[right] * edges.step[changes.edge[right], 1]
        label = np.append(decided[-1, 0], changes.behind[right])
        bounds = np.concatenate([[-np.inf], height, [np.inf]])
        deviation = np.sqrt(self._covariance[:, 1, 1])
        shares = np.diff(ndtr((bounds[:, None] - self._mean[:, 1]) / deviation), axis=0)  # (parts, K)
        return float(inner.sum() + (self._weight * shares * (label[:, None] == self._label)).sum())

    def _densities(self, place: Array) -> Array:
        """Return the weighted densities of the components: (M, 2) -> (M, K)."""
        first, second = place[:, :1] - self._mean[:, 0], place[:, 1:] - self._mean[:, 1]
        precision = self._precision
        square = precision[:, 0, 0] * first**2 + 2 * precision[:, 0, 1] * first * second
        return self._peak * np.exp(-(square + precision[:, 1, 1] * second**2) / 2)

    def _below(self, place: Array) -> Array:
        """Return the joint densities of the classes integrated over the horizontal line up to a point -> (M, C)."""
        variance, correlated = self._covariance[:, 1, 1], self._covariance[:, 0, 1]
        rest = np.sqrt(self._covariance[:, 0, 0] - correlated**2 / variance)  # of the first coordinate given the second
        second = place[:, 1:] - self._mean[:, 1]
        first = place[:, :1] - self._mean[:, 0] - correlated / variance * second
        density = self._weight * np.exp(-(second**2) / (2 * variance)) / np.sqrt(2 * math.pi * variance)
        return self._by_class(density * ndtr(first / rest))

    def _by_class(self, values: Array) -> Array:
        """Return the sums over the components of each class: (M, K) -> (M, C)."""
        columns = [values[:, self._label == label].sum(1) for label in range(self.classes)]
        return np.stack(columns, axis=1)
