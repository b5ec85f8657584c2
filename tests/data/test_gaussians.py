from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from src.data.gaussians import Gaussians
from src.utils.validation import SettingsError

MEANS = [[75.0, 71.3], [55.6, 59.8]]
COVARIANCES = [[[874, 327], [327, 929]], [[847, 422], [422, 685]]]


def make_distribution(classes: int = 2, **changes: Any) -> Gaussians:
    slides = {"samples": 140, "means": MEANS, "covariances": COVARIANCES, "priors": [79, 61]}
    return Gaussians(classes, **(slides | changes))


def three() -> Gaussians:
    covariances = [[[1.0, 0.6], [0.6, 2.0]], [[0.3, 0.0], [0.0, 1.0]], [[2.0, -1.0], [-1.0, 1.0]]]
    return make_distribution(3, means=[[0.0, 0.0], [1.5, 1.0], [-1.0, 2.0]], covariances=covariances, priors=[1, 2, 1])


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def densities(distribution: Gaussians, x: np.ndarray) -> np.ndarray:
    """Return prior times density (..., C) by scipy."""
    classes = zip(distribution.prior.tolist(), distribution.mean.numpy(), distribution.covariance.numpy(), strict=True)
    return np.stack([prior * stats.multivariate_normal(*moments).pdf(x) for prior, *moments in classes], axis=-1)


def test_a_sample_has_the_priors_and_moments_that_are_asked_for() -> None:
    distribution = three()
    distribution.size = 40_000
    x, target = distribution.sample(generators(0))
    assert (x.shape, x.dtype, target.shape, target.dtype) == ((1, 40_000, 2), torch.float64, (1, 40_000), torch.int64)
    counts = np.bincount(target[0], minlength=3)
    assert stats.chisquare(counts, 40_000 * np.array([0.25, 0.5, 0.25])).pvalue > 0.01
    for label in range(3):
        own = x[0][target[0] == label].numpy()
        whitened = np.linalg.solve(
            np.linalg.cholesky(distribution.covariance[label]), (own - distribution.mean[label].numpy()).T
        )
        assert stats.kstest(whitened[0], "norm").pvalue > 0.01
        assert stats.kstest(whitened[1], "norm").pvalue > 0.01
        assert abs(np.corrcoef(whitened)[0, 1]) < 4 / len(own) ** 0.5


def test_generators_are_used_alone_and_in_their_order() -> None:
    distribution = make_distribution()
    x, target = distribution.sample(generators(4, 9))
    for index, seed in enumerate((4, 9)):
        alone = distribution.sample(generators(seed))
        assert torch.equal(x[index], alone[0][0])
        assert torch.equal(target[index], alone[1][0])
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize("distribution", [make_distribution(), three()], ids=["slides", "three"])
def test_the_posterior_is_bayes_rule_on_scipys_densities(distribution: Gaussians) -> None:
    x, _ = distribution.sample(generators(0, 1))
    joint = densities(distribution, x.numpy())
    expected = joint / joint.sum(-1, keepdims=True)
    np.testing.assert_allclose(distribution.posterior(x), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(distribution.bayes_rule(x), expected.argmax(-1))


@pytest.mark.parametrize(("distribution", "side"), [(make_distribution(), 400), (three(), 12)], ids=["slides", "three"])
def test_the_bayes_accuracy_is_the_integral_of_the_largest_density(distribution: Gaussians, side: float) -> None:
    axis = np.linspace(-side, side, 2001)
    grid = np.stack(np.meshgrid(axis, axis), -1)
    expected = densities(distribution, grid).max(-1).sum() * (axis[1] - axis[0]) ** 2
    assert distribution.bayes_accuracy() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("features", "priors"), [(1, [1, 1]), (2, [1, 3]), (4, [5, 1])])
def test_two_classes_of_one_covariance_have_the_accuracy_of_a_threshold(features: int, priors: list[int]) -> None:
    root = np.random.default_rng(features).normal(size=(features, features))
    covariance = (root @ root.T + np.eye(features)).round(3).tolist()
    distribution = make_distribution(
        2, means=[[0.0] * features, [1.0] * features], covariances=[covariance] * 2, priors=priors
    )
    direction = np.linalg.solve(covariance, np.ones(features))  # x . direction is normal in both classes
    spread, gap = (direction @ covariance @ direction) ** 0.5, direction.sum()
    threshold = gap / 2 + np.log(priors[0] / priors[1])
    hits = stats.norm.cdf(threshold / spread), stats.norm.sf((threshold - gap) / spread)
    assert distribution.bayes_accuracy() == pytest.approx(np.average(hits, weights=priors), abs=1e-12)
    x, mass = distribution.population(512)
    reached = mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item()
    assert reached == pytest.approx(distribution.bayes_accuracy(), abs=1e-4)


def test_classes_that_coincide_leave_the_larger_prior() -> None:
    distribution = make_distribution(means=[[1.0, 2.0]] * 2, covariances=[[[2.0, 1.0], [1.0, 3.0]]] * 2, priors=[3, 1])
    assert distribution.bayes_accuracy() == pytest.approx(0.75, abs=1e-12)


@pytest.mark.parametrize("distribution", [make_distribution(), three()], ids=["slides", "three"])
def test_the_population_integrates_the_distribution(distribution: Gaussians) -> None:
    x, mass = distribution.population(512)
    assert x.shape == (len(mass), 2)
    assert mass.shape == (len(x), distribution.classes)
    assert mass.min() >= 0
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mass.sum(0), distribution.prior, atol=3e-5)
    np.testing.assert_allclose((mass.T @ x) / mass.sum(0)[:, None], distribution.mean, rtol=1e-4, atol=5e-4)
    assert mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item() == pytest.approx(
        distribution.bayes_accuracy(), abs=2e-5
    )
    below = x[:, 0] < distribution.mean[0, 0]
    scales = distribution.covariance[:, 0, 0].sqrt()
    expected = distribution.prior.numpy() * stats.norm.cdf((distribution.mean[0, 0] - distribution.mean[:, 0]) / scales)
    np.testing.assert_allclose(mass[below].sum(0), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 1}, "`samples` to be a whole number from 2 to 1000000, got 1"),
        ({"means": [[1.0, 2.0]]}, "`means` to be a list of 2 lists of 2 numbers"),
        ({"means": 3}, "`means` to be a list of 2 lists of 1 numbers"),
        ({"means": [[1.0, 2.0], [1.0, "a"]]}, "`means` to be a list of 2 lists of 2 numbers"),
        ({"covariances": [COVARIANCES[0]]}, "`covariances` to be a list of 2 lists of 2 lists of 2 numbers"),
        ({"covariances": [[[1, 2], [2, 1]]] * 2}, "`covariances` to be symmetric and positive definite matrices"),
        ({"covariances": [[[1, 0.5], [0, 1]]] * 2}, "`covariances` to be symmetric and positive definite matrices"),
        ({"priors": [1, 0]}, "`priors` to be numbers above 0"),
        ({"priors": [1, 2, 3]}, "`priors` to be a list of 2 numbers"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_distribution(**changes)
    assert message in str(caught.value)
