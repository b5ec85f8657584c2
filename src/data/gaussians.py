"""Normal classes: the distribution for which the Gaussian generative classifier is exact."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.quasirandom import SobolEngine

from src.data.protocols import MAX_SAMPLES, Distribution
from src.utils.normal import log_posterior
from src.utils.validation import Problem, check, number, whole

_BLOCK = 2**14  # samples transformed at once, as each needs a matrix
_POINTS = 256  # quadrature points per unit of resolution, over all classes
_RESOLUTION = 512  # of the Bayes accuracy where there is no formula and no plane
_LINES = 2**13  # through the plane
_DEVIATIONS = 8  # standard deviations around each mean that they cover


class Gaussians(Distribution):
    r"""C normal classes of given priors, means and covariances; by default the two of the slides.

    Args:
        classes: Number of classes C, at least 2.
        samples: Number of samples N, at least 2, whose classes are drawn too.
        means: C lists of D numbers.
        covariances: C symmetric positive definite matrices, each D lists of D numbers.
        priors: C numbers above 0, in proportion to the priors.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> unit = [[1.0, 0.0], [0.0, 1.0]]
        >>> means = [[-1.0, 0.0], [1.0, 0.0]]
        >>> distribution = Gaussians(2, samples=100, means=means, covariances=[unit, unit], priors=[1, 1])
        >>> round(distribution.bayes_accuracy(), 6)  # Phi(1)
        0.841345
    """

    def __init__(
        self,
        classes: int,
        *,
        samples: int,
        means: Sequence[Sequence[float]],
        covariances: Sequence[Sequence[Sequence[float]]],
        priors: Sequence[float],
    ) -> None:
        check(whole("classes", classes, min_value=2))
        listed = isinstance(means, list | tuple) and len(means) > 0 and isinstance(means[0], list | tuple)
        features = max(1, len(means[0])) if listed else 1
        check(
            whole("samples", samples, min_value=2, max_value=MAX_SAMPLES),
            _numbers("means", means, (classes, features)),
            _numbers("covariances", covariances, (classes, features, features)),
            _numbers("priors", priors, (classes,)),
        )
        self.classes = classes
        self.size = samples
        self.features = features
        self.mean = torch.tensor(means, dtype=torch.float64)  # (C, D)
        self.covariance = torch.tensor(covariances, dtype=torch.float64)  # (C, D, D)
        self.prior = torch.tensor(priors, dtype=torch.float64)  # (C,)
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        good = not failed.any() and torch.equal(self.covariance, self.covariance.mT)
        check(
            None if good else Problem("covariances", "symmetric and positive definite matrices", covariances),
            None if (self.prior > 0).all() else Problem("priors", "numbers above 0", priors),
        )
        self.prior /= self.prior.sum()
        self._factor = factor

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Draw one data set per generator, all classes before the features: x (S, N, D), target (S, N)."""
        x = torch.empty(len(generators), self.size, self.features, dtype=torch.float64)
        target = torch.empty(len(generators), self.size, dtype=torch.int64)
        for row, label, generator in zip(x, target, generators, strict=True):
            torch.multinomial(self.prior, self.size, replacement=True, generator=generator, out=label)
            row.normal_(generator=generator)
            for noise, classes in zip(row.split(_BLOCK), label.split(_BLOCK), strict=True):
                noise.copy_(self._transform(noise, classes))
        return x, target

    def posterior(self, x: Tensor) -> Tensor:
        """Return P(class | x): (..., D) -> (..., C)."""
        return self._log_posterior(x).exp()

    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return the label of the largest posterior: (..., D) -> (...)."""
        return self._log_posterior(x).argmax(-1)

    def bayes_accuracy(self) -> float:
        r"""Return the best accuracy that any classifier can have.

        Two classes of one covariance have a formula: with \Delta the Mahalanobis distance of the means and
        t = \ln(\pi_1 / \pi_0) / \Delta, it is \pi_0 \Phi(\Delta/2 - t) + \pi_1 \Phi(\Delta/2 + t). Otherwise it is
        the integral of the largest joint density: of two features along lines, on each of which it is exact, with an
        error of about 1e-9; of others over quasi-random points.
        """
        return self._bayes_accuracy

    def normals(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the distribution of each class; see ``NormalMixture``."""
        return self.prior, self.mean, self.covariance, torch.arange(self.classes)

    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return weighted points that integrate the distribution.

        Every class has a power of two of Sobol's quasi-random points, mapped to its distribution: about
        256 * resolution over all classes. Each point of class k has the prior of k divided by their number as its
        weight, which the posterior divides among the classes.

        Args:
            resolution: At least 1.

        Returns:
            x (M, D) and mass (M, C), float64; the masses sum to 1.
        """
        exponent = max(0, round(math.log2(_POINTS * resolution / self.classes)))
        size = 2**exponent
        uniform = SobolEngine(self.features).draw(size, dtype=torch.float64) + 0.5 / size  # in the middle of its cell
        noise = torch.special.ndtri(uniform)[None].expand(self.classes, -1, -1)  # (C, M / C, D)
        x = self._transform(noise, torch.arange(self.classes)[:, None].expand(-1, size)).flatten(0, 1)
        weight = (self.prior / size).repeat_interleave(size)  # (M,)
        return x, weight[:, None] * self.posterior(x)

    @cached_property
    def _bayes_accuracy(self) -> float:
        if self.classes == 2 and torch.equal(*self.covariance):
            shift = torch.linalg.solve_triangular(self._factor[0], self.mean.diff(dim=0).T, upper=False)
            distance = shift.norm()
            if distance > 0:
                tilt = (self.prior[1] / self.prior[0]).log() / distance
                margin = distance / 2 + tilt * torch.tensor([-1, 1])
                return (self.prior * torch.special.ndtr(margin)).sum().item()
        if self.features == 2:
            return self._largest_mass()
        return self.population(_RESOLUTION)[1].amax(1).sum().item()

    def _largest_mass(self) -> float:
        """Return the integral of the largest joint density over the plane.

        On a line through the plane, the logarithm of the joint density of a class is a x^2 + b x + c, and the largest
        one changes at roots of the differences.
        """
        precision, deviation = torch.linalg.inv(self.covariance), self.covariance.diagonal(dim1=1, dim2=2).sqrt()
        low, high = ((self.mean + sign * _DEVIATIONS * deviation) for sign in (-1, 1))
        height = torch.linspace(low[:, 1].min(), high[:, 1].max(), _LINES, dtype=torch.float64)
        second = height[:, None] - self.mean[:, 1]  # (lines, C)
        p11, p12, p22 = precision[:, 0, 0], precision[:, 0, 1], precision[:, 1, 1]
        first = self.mean[:, 0]
        a = (-p11 / 2).expand_as(second)
        b = p11 * first - p12 * second
        square = p11 * first**2 - 2 * p12 * first * second + p22 * second**2
        c = self.prior.log() + torch.linalg.slogdet(precision)[1] / 2 - square / 2
        one, other = torch.triu_indices(self.classes, self.classes, offset=1)
        da, db, dc = (part[:, one] - part[:, other] for part in (a, b, c))  # (lines, pairs)
        q = -(db + db.sign() * (db**2 - 4 * da * dc).sqrt()) / 2  # NaN without roots
        left, right = low[:, 0].min().item(), high[:, 0].max().item()
        roots = torch.cat([q / da, dc / q], dim=1).nan_to_num(left).clamp(left, right)
        edges = F.pad(F.pad(roots.sort(dim=1).values, (1, 0), value=left), (0, 1), value=right)
        middle = (edges[:, 1:] + edges[:, :-1])[..., None] / 2  # (lines, parts, 1)
        label = (a[:, None] * middle**2 + b[:, None] * middle + c[:, None]).argmax(-1)  # (lines, parts)
        density = (
            self.prior * (-(second / deviation[:, 1]).square() / 2).exp() / deviation[:, 1] / math.sqrt(2 * math.pi)
        )
        conditional = first - p12 / p11 * second  # mean of the first feature on the line, whose variance is 1 / p11
        below = density[:, None] * torch.special.ndtr((edges[..., None] - conditional[:, None]) * p11.sqrt())
        mass = below.diff(dim=1).gather(2, label[..., None]).sum()
        return (mass * (height[1] - height[0])).item()

    def _transform(self, noise: Tensor, target: Tensor) -> Tensor:
        """Turn standard normal numbers (..., D) into samples of the classes (...)."""
        return self.mean[target] + (self._factor[target] * noise[..., None, :]).sum(-1)

    def _log_posterior(self, x: Tensor) -> Tensor:
        return log_posterior(x, self.prior, self.mean, self.covariance)


def _numbers(name: str, values: Any, shape: tuple[int, ...]) -> Problem | None:
    """Return a problem unless the values are finite numbers in nested lists of the given shape."""
    sides = " of ".join([*(f"{side} lists" for side in shape[:-1]), f"{shape[-1]} numbers"])
    return None if _nested(values, shape) else Problem(name, f"a list of {sides}", values)


def _nested(values: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return number("", values) is None
    listed = isinstance(values, list | tuple) and len(values) == shape[0]
    return listed and all(_nested(value, shape[1:]) for value in values)
