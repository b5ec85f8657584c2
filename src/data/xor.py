"""Exclusive or: four corners of a square, opposite ones of one class, so that no straight line separates them."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from src.data.protocols import MAX_SAMPLES, MAX_SCALE, Distribution
from src.utils.validation import Problem, check, number, whole

_MAX_DEVIATIONS = 6.0  # standard deviations beyond the corners that the population covers


class Xor(Distribution):
    r"""Two classes at the corners of the unit square, with normal noise in both features.

    A sample lies around (a, b), where the bits a and b are fair coins; its class is a xor b.

    Args:
        classes: Number of classes, 2.
        samples_per_corner: Samples at each corner, at least 1; a data set has N = 4 * samples_per_corner samples.
        noise_std: Standard deviation of the noise, above 0.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> distribution = Xor(2, samples_per_corner=40, noise_std=0.25)
        >>> round(distribution.bayes_accuracy(), 4)  # Phi(2)^2 + Phi(-2)^2
        0.9555
    """

    features = 2

    def __init__(self, classes: int, *, samples_per_corner: int, noise_std: float) -> None:
        check(
            None if classes == 2 else Problem("classes", "2 for data=xor", classes),
            whole("samples_per_corner", samples_per_corner, min_value=1, max_value=MAX_SAMPLES),
            number("noise_std", noise_std, above=0, below=MAX_SCALE),
        )
        self.classes = classes
        self.samples_per_corner = samples_per_corner
        self.size = 4 * samples_per_corner
        self.noise_std = noise_std

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Draw one data set per generator, the four corners in turn: x (S, N, 2), target (S, N)."""
        bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))  # (4, 2)
        x = torch.empty(len(generators), self.samples_per_corner, *bits.shape, dtype=torch.float64)
        for row, generator in zip(x, generators, strict=True):
            row.normal_(generator=generator).mul_(self.noise_std).add_(bits)
        return x.flatten(1, 2), (bits.sum(1) % 2).repeat(len(generators), self.samples_per_corner)

    def posterior(self, x: Tensor) -> Tensor:
        r"""Return P(class | x): (..., 2) -> (..., 2).

        Each feature depends on its own bit alone: P(bit = 1 | x) = \sigma((x - 1/2) / noise_std^2).
        """
        z = (x.double() - 0.5) / self.noise_std**2
        (one1, one2), (zero1, zero2) = torch.sigmoid(z).unbind(-1), torch.sigmoid(-z).unbind(-1)
        return torch.stack([zero1 * zero2 + one1 * one2, one1 * zero2 + zero1 * one2], dim=-1)

    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return the exclusive or of the nearest bits: (..., 2) -> (...)."""
        return (x > 0.5).sum(-1) % 2

    def bayes_accuracy(self) -> float:
        r"""Return the best accuracy that any classifier can have: q^2 + (1 - q)^2 with q = \Phi(-1 / (2 noise_std)).

        Each bit is decided wrongly with probability q, and two wrong bits give the right class.
        """
        wrong = math.erfc(0.5 / self.noise_std / math.sqrt(2)) / 2
        return wrong**2 + (1 - wrong) ** 2

    def normals(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the distributions around the corners; see ``NormalMixture``."""
        bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))  # (4, 2)
        covariance = self.noise_std**2 * torch.eye(2, dtype=torch.float64).expand(4, 2, 2)
        return torch.full((4,), 0.25, dtype=torch.float64), bits.double(), covariance, bits.sum(1) % 2

    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return the centres of square cells of the plane, and the cells' exact masses.

        The Bayes boundaries lie on edges of cells, so the integral is exact for the Bayes rule.

        Args:
            resolution: Number of cells along both features together, at least 1; a quarter of them, rounded up, is on
                each side of either boundary.

        Returns:
            x (M, 2) and mass (M, C), float64; the masses sum to 1.
        """
        half, extent = -(-resolution // 4), 0.5 + _MAX_DEVIATIONS * self.noise_std
        edges = 0.5 + torch.linspace(-extent, extent, 2 * half + 1, dtype=torch.float64)
        below = torch.special.ndtr((edges - torch.arange(2)[:, None]) / self.noise_std)  # (2, cells + 1), by bit
        below[:, 0], below[:, -1] = 0, 1  # the outer cells take the tails
        zero, one = below.diff(dim=1) / 2  # (cells,) each
        same = torch.outer(zero, zero) + torch.outer(one, one)
        other = torch.outer(zero, one) + torch.outer(one, zero)
        middle = (edges[1:] + edges[:-1]) / 2
        return torch.cartesian_prod(middle, middle), torch.stack([same.flatten(), other.flatten()], dim=1)
