import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from scripts.worked_examples.examples import COUNT, COVARIANCE, MEAN
from src.utils.normal import (
    class_moments,
    gaussian_log_density,
    log_posterior,
)
from src.utils.validation import SettingsError


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


prior, mean, covariance = tensor(COUNT) / sum(COUNT), tensor(MEAN), tensor(COVARIANCE)


def random_classes(classes: int, features: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return priors (C,), means (C, D) and covariances (C, D, D)."""
    generator = np.random.default_rng(seed)
    roots = generator.normal(size=(classes, features, features))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(features)
    return (
        torch.from_numpy(generator.dirichlet(np.ones(classes))),
        torch.from_numpy(generator.normal(0, 2, (classes, features))),
        torch.from_numpy(matrices),
    )


@pytest.mark.parametrize("features", [1, 2, 5])
def test_the_density_is_scipys(features: int) -> None:
    _, means, covariances = random_classes(3, features)
    x = torch.randn(4, 3, features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = gaussian_log_density(x, means, covariances)
    assert found.shape == (4, 3)
    for index in range(3):
        expected = multivariate_normal(means[index], covariances[index]).logpdf(x[:, index])
        np.testing.assert_allclose(found[:, index], expected, rtol=1e-12)


def test_a_density_far_away_does_not_underflow() -> None:
    assert gaussian_log_density(tensor([1e3]), tensor([0.0]), tensor([[1.0]])).item() == pytest.approx(-5e5, rel=1e-5)


@pytest.mark.parametrize(
    "matrix", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.5], [0.2, 1.0]], [[math.nan, 0], [0, 1.0]]]
)
def test_a_matrix_that_is_no_covariance_is_refused(matrix: Any) -> None:
    with pytest.raises(SettingsError, match="`covariance` to be symmetric and positive definite"):
        gaussian_log_density(tensor([0.0, 0.0]), tensor([0.0, 0.0]), tensor(matrix))


@pytest.mark.parametrize(("centre", "matrix"), [([0.0], [[1.0]]), ([0.0, 0.0], [[1.0]]), ([0.0, 0.0], [[1.0, 0.0]])])
def test_shapes_that_do_not_fit_are_refused(centre: Any, matrix: Any) -> None:
    with pytest.raises(SettingsError, match=r"`covariance` to be \(\.\.\., D, D\)"):
        gaussian_log_density(tensor([0.0, 0.0]), tensor(centre), tensor(matrix))


@pytest.mark.parametrize(("classes", "features"), [(2, 1), (3, 2), (4, 5)])
def test_the_posterior_is_prior_times_density_over_their_sum(classes: int, features: int) -> None:
    priors, means, covariances = random_classes(classes, features)
    x = np.random.default_rng(1).normal(size=(6, features))
    joint = (
        np.stack([multivariate_normal(means[k], covariances[k]).pdf(x) for k in range(classes)], -1) * priors.numpy()
    )
    found = log_posterior(torch.from_numpy(x), priors, means, covariances)
    np.testing.assert_allclose(found.exp(), joint / joint.sum(-1, keepdims=True), rtol=1e-10)


def test_moments_are_numpys_for_each_seed_and_class() -> None:
    generator = torch.Generator().manual_seed(0)
    x, target = torch.randn(3, 40, 4, generator=generator), torch.randint(3, (3, 40), generator=generator)
    count, means, covariances = class_moments(x, target, 3)
    for seed in range(3):
        for label in range(3):
            own = x[seed][target[seed] == label].double().numpy()
            assert count[seed, label] == len(own)
            np.testing.assert_allclose(means[seed, label], own.mean(0), rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(covariances[seed, label], np.cov(own.T, bias=True), rtol=1e-10)


@pytest.mark.parametrize(("size", "features"), [(5, 1), (7, 2), (33, 3), (128, 2), (1001, 5)])
def test_a_stack_gives_each_seed_the_moments_that_it_has_alone_bit_for_bit(size: int, features: int) -> None:
    generator = torch.Generator().manual_seed(size)
    x, target = torch.randn(23, size, features, generator=generator), torch.randint(3, (23, size), generator=generator)
    together = class_moments(x, target, 3)
    for seed in range(23):
        for stacked, own in zip(together, class_moments(x[[seed]], target[[seed]], 3), strict=True):
            np.testing.assert_array_equal(stacked[seed], own[0])
