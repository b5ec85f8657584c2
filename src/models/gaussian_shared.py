"""Linear discriminant analysis: normal distributions that share one covariance, and Bayes' rule."""

import torch
from torch import Tensor

from src.models.gaussian import Gaussian, absent, singularity
from src.utils.normal import linear_scores, shared_covariance


class GaussianShared(Gaussian):
    """S generative classifiers, each with one prior and mean per class, and one covariance for all classes.

    ``fit`` sets them to their maximum-likelihood estimates; the covariance is the prior-weighted mean of those of the
    classes. The outputs are ln P(class | x), in which only a linear function of x depends on the class.

    Args:
        in_features: Number of features D.
        out_features: Number of classes C.
        generators: One generator per seed, unused.
    """

    def linear(self) -> tuple[Tensor, Tensor]:
        """Return the weights (S, D, C) and biases (S, C) of the linear functions of x whose softmax is P(class | x)."""
        weight, bias = linear_scores(self.prior, self.mean, self.covariance[:, 0])
        return weight.mT, bias

    @staticmethod
    def _identities(seeds: int, classes: int, features: int) -> Tensor:
        return torch.eye(features, dtype=torch.float64).repeat(seeds, 1, 1, 1)

    def _pooled(self, covariance: Tensor) -> Tensor:
        """Return the covariance (S, 1, D, D) that the classes share, from those of each (S, C, D, D)."""
        return shared_covariance(self.prior, covariance)[:, None]

    def _problem(self, count: Tensor, mean: Tensor, covariance: Tensor) -> str | None:
        """Return why a class of one seed has no density, or None: (C,), (C, D), (1, D, D)."""
        for label, samples in enumerate(count.tolist()):
            if problem := absent(label, samples):
                return problem
        problem = singularity(covariance[0], mean.abs().amax(0))
        return problem and f"the shared covariance is singular: within every class, {problem}"
