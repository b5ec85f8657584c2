"""Normal distributions of classes: densities, Bayes' rule, and estimates of their moments.

The axis C of the classes precedes the axis D of the features; other leading axes broadcast. scipy.stats and
scikit-learn take one distribution or data set at a time, and torch.distributions rounds by the size of the batch; these
functions give each seed the same bits in a stack of any size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from src.utils.validation import Problem, check


def gaussian_log_density(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    r"""Return the logarithm of the density of a normal distribution.

    With the Cholesky factor L of the covariance \Sigma,
    ln N(x; \mu, \Sigma) = -1/2 |L^-1 (x - \mu)|^2 - \sum_d ln L_dd - D/2 ln 2\pi.

    Args:
        x: Samples (..., D).
        mean: Means \mu (..., D).
        covariance: Symmetric positive definite matrices \Sigma (..., D, D).

    Returns:
        Logarithms of densities (...), in double precision.

    Raises:
        SettingsError: If the shapes do not fit, or a matrix is not symmetric and positive definite.

    Example:
        >>> gaussian_log_density(torch.tensor([0.0, 2.0]), torch.zeros(2), torch.eye(2))  # -2 - ln 2pi
        tensor(-3.8379, dtype=torch.float64)
    """
    x, mean, covariance = x.double(), mean.double(), covariance.double()
    features = x.shape[-1]
    shapes = [tuple(each.shape) for each in (x, mean, covariance)]
    fits = mean.shape[-1:] == (features,) and covariance.shape[-2:] == (features, features)
    check(None if fits else Problem("covariance", "(..., D, D) for samples and means (..., D)", shapes))
    factor = _factor(covariance)  # (..., D, D)
    identity = torch.eye(features, dtype=torch.float64).expand_as(factor)
    whiten = torch.linalg.solve_triangular(factor, identity, upper=False)
    residual = (whiten * (x - mean)[..., None, :]).sum(-1)  # (..., D)
    log_scale = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -residual.square().sum(-1) / 2 - log_scale - features / 2 * math.log(2 * math.pi)


def log_posterior(x: Tensor, prior: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    r"""Return ln P(class | x) by Bayes' rule: ln \pi_k N(x; \mu_k, \Sigma_k) less the logsumexp over the classes.

    Args:
        x: Samples (..., D).
        prior: Priors \pi (..., C), above 0.
        mean: Means (..., C, D).
        covariance: Covariances (..., C, D, D), or (..., 1, D, D) of all classes.

    Returns:
        Logarithms of probabilities (..., C), in double precision.
    """
    joint = gaussian_log_density(x[..., None, :], mean, covariance) + prior.log()
    return joint - joint.logsumexp(-1, keepdim=True)


def log_odds(x: Tensor, prior: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    r"""Return z = ln P(class 1 | x) / P(class 0 | x) for two classes, so that P(class 1 | x) = \sigma(z).

    Args:
        x: Samples (..., D).
        prior: Priors (..., 2).
        mean: Means (..., 2, D).
        covariance: Covariances (..., 2, D, D), quadratic in x, or (..., 1, D, D) of both, linear in x.

    Returns:
        (...), in double precision.
    """
    joint = gaussian_log_density(x[..., None, :], mean, covariance) + prior.log()
    return joint[..., 1] - joint[..., 0]


def linear_scores(prior: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the linear discriminant's weights and biases.

    Under a shared covariance, ln P(class k | x) is w_k . x + b_k up to a term that all classes share, where
    w_k = \Sigma^-1 \mu_k and b_k = -1/2 \mu_k' \Sigma^-1 \mu_k + ln \pi_k. The slides' w and b of two classes are the
    differences.

    Args:
        prior: Priors (..., C).
        mean: Means (..., C, D).
        covariance: The shared covariance (..., D, D).

    Returns:
        Weights (..., C, D) and biases (..., C).

    Example:
        >>> weight, bias = linear_scores(torch.tensor([0.5, 0.5]), torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.eye(2))
        >>> weight[1] - weight[0], bias[1] - bias[0]  # the boundary is x1 = 2
        (tensor([2., 0.]), tensor(-4.))
    """
    weight = torch.linalg.solve(covariance, mean.mT).mT
    return weight, prior.log() - (mean * weight).sum(-1) / 2


def shared_covariance(prior: Tensor, covariance: Tensor) -> Tensor:
    r"""Return the prior-weighted mean of the classes' covariances: (..., C), (..., C, D, D) -> (..., D, D)."""
    return (prior[..., None, None] * covariance).sum(-3)


def class_moments(x: Tensor, target: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of samples of each class, and the maximum-likelihood estimates of its mean and covariance.

    Args:
        x: Samples (S, N, D).
        target: Labels (S, N), int64 in [0, C).
        classes: Number of classes C.

    Returns:
        Counts (S, C), means (S, C, D) and covariances (S, C, D, D), in double precision; NaN for a class without
        samples.
    """
    member = F.one_hot(target, classes).double()  # (S, N, C)
    x = x.double()
    count = member.sum(1)  # (S, C)
    means, covariances = [], []
    for index, own in enumerate(member.unbind(-1)):  # (S, N)
        number = count[:, index, None]  # (S, 1)
        mean = (own[..., None] * x).sum(1) / number  # (S, D)
        centred = own[..., None] * (x - mean[:, None])  # (S, N, D)
        outer = centred[..., :, None] * centred[..., None, :]  # (S, N, D, D)
        means.append(mean)
        covariances.append(outer.sum(1) / number[..., None])
    return count, torch.stack(means, 1), torch.stack(covariances, 1)


def _factor(covariance: Tensor) -> Tensor:
    """Return the lower Cholesky factors."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    good = not failed.any() and torch.allclose(covariance, covariance.mT)
    check(None if good else Problem("covariance", "symmetric and positive definite", covariance.tolist()))
    return factor
