"""Quadratic discriminant analysis: one normal distribution per class, and Bayes' rule."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from src.utils.normal import class_moments, log_posterior

_MIN_EIGENVALUE = 1e-12  # of a correlation matrix; smaller ones are 0 up to the rounding of the features


class Gaussian(nn.Module):
    """S generative classifiers, each with one prior, mean and covariance per class.

    ``fit`` sets them to their maximum-likelihood estimates; the outputs are ln P(class | x), quadratic in x.

    Args:
        in_features: Number of features D.
        out_features: Number of classes C.
        generators: One generator per seed, unused.
    """

    prior: Tensor  # (S, C)
    mean: Tensor  # (S, C, D)
    covariance: Tensor  # (S, C, D, D)

    def __init__(self, in_features: int, out_features: int, generators: Sequence[Generator]) -> None:
        super().__init__()
        seeds = len(generators)
        self.register_buffer("prior", torch.full((seeds, out_features), 1 / out_features, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(seeds, out_features, in_features, dtype=torch.float64))
        self.register_buffer("covariance", self._identities(seeds, out_features, in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return ln P(class | x) of each seed: (S, B, D) -> (S, B, C), in double precision."""
        return log_posterior(x, *(each[:, None] for each in (self.prior, self.mean, self.covariance)))

    def fit(self, x: Tensor, target: Tensor) -> list[str | None]:
        """Fit all seeds: (S, N, D), (S, N) -> for each seed the reason why it cannot be fitted, or None."""
        count, self.mean, covariance = class_moments(x, target, self.prior.shape[1])
        self.prior = count / target.shape[1]
        self.covariance = self._pooled(covariance)
        return [self._problem(*seed) for seed in zip(count, self.mean, self.covariance, strict=True)]

    @staticmethod
    def _identities(seeds: int, classes: int, features: int) -> Tensor:
        return torch.eye(features, dtype=torch.float64).repeat(seeds, classes, 1, 1)

    def _pooled(self, covariance: Tensor) -> Tensor:
        """Return the covariances of the model from those of the classes: (S, C, D, D) -> (S, C or 1, D, D)."""
        return covariance

    def _problem(self, count: Tensor, mean: Tensor, covariance: Tensor) -> str | None:
        """Return why a class of one seed has no density, or None: (C,), (C, D), (C, D, D)."""
        for label, (samples, centre, matrix) in enumerate(zip(count.tolist(), mean, covariance, strict=True)):
            if not samples:
                return absent(label, samples)
            if problem := singularity(matrix, centre):
                few = "" if samples > 1 else ", as the class has a single training sample"
                return f"the covariance of class {label} is singular: {problem}{few}"
        return None


def absent(label: int, samples: float) -> str | None:
    """Return that a class has no training samples, or None if it has."""
    return None if samples else f"class {label} has no training sample"


def singularity(covariance: Tensor, centre: Tensor) -> str | None:
    """Return in which features a covariance (D, D) around a centre (D,) is singular, or None if it is not."""
    deviation = covariance.diagonal().sqrt()
    still = deviation <= 8 * torch.finfo(torch.float64).eps * centre.abs()
    if still.any():
        return f"{_names(still)} {'is' if still.sum() == 1 else 'are'} constant"
    values, vectors = torch.linalg.eigh(covariance / deviation / deviation[:, None])
    if values[0] > _MIN_EIGENVALUE:
        return None
    return f"{_names(vectors[:, 0].abs() > 1e-3)} are linearly dependent"


def _names(chosen: Tensor) -> str:
    return ", ".join(f"x{index + 1}" for index in chosen.nonzero().flatten().tolist())
