import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from src.data.gaussians import Gaussians
from src.data.xor import Xor
from src.metrics.normal_plane import NormalPlane
from tests.metrics.references import normal_classes


@pytest.mark.parametrize("classes", [2, 3])
def test_the_densities_at_the_corners_integrate_the_distribution(classes: int) -> None:
    distribution = normal_classes(classes)
    plane = NormalPlane(distribution)
    density = torch.from_numpy(plane.density_at_corners)
    assert density.shape == (len(plane.corners), len(distribution.prior))
    area = np.prod([axis[1] - axis[0] for axis in plane.axes])
    np.testing.assert_allclose(density.sum(0) * area, distribution.prior, atol=1e-8)
    np.testing.assert_allclose(
        (density.T @ plane.features) * area, distribution.prior[:, None] * distribution.mean, atol=1e-6
    )
    posterior = density / density.sum(1, keepdim=True)
    torch.testing.assert_close(posterior, distribution.posterior(plane.features), rtol=1e-9, atol=1e-12)
    assert all(len(axis) % 2 == 1 for axis in plane.axes)


def test_the_density_is_that_of_the_features_by_the_area() -> None:
    distribution = normal_classes(3)
    plane = NormalPlane(distribution)
    place = np.random.default_rng(0).normal(size=(50, 2))
    x = plane.points(place).numpy()
    moments = zip(distribution.prior.tolist(), distribution.mean.numpy(), distribution.covariance.numpy(), strict=True)
    expected = sum(prior * multivariate_normal(mean, covariance).pdf(x) for prior, mean, covariance in moments)
    corners = plane.points(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).numpy()
    area = abs(np.linalg.det(corners[1:] - corners[0]))
    np.testing.assert_allclose(plane.density(place), area * expected, rtol=1e-9)


def test_the_moments_are_those_of_the_classes() -> None:
    distribution = normal_classes(3)
    prior, mean, pooled = NormalPlane(distribution).moments()
    torch.testing.assert_close(prior, distribution.prior)
    torch.testing.assert_close(mean, distribution.mean)
    torch.testing.assert_close(pooled, (distribution.prior[:, None, None] * distribution.covariance).sum(0))
    prior, mean, pooled = NormalPlane(Xor(2, samples_per_corner=1, noise_std=0.3)).moments()
    torch.testing.assert_close(prior, torch.full((2,), 0.5).double())
    torch.testing.assert_close(mean, torch.full((2, 2), 0.5).double())  # each class has corners on both sides
    covariance = torch.tensor([[0.25 + 0.09, 0], [0, 0.25 + 0.09]]).double()  # of the bits, and the noise
    torch.testing.assert_close(pooled, covariance, rtol=1e-6, atol=1e-6)


def test_a_class_too_narrow_for_a_grid_has_none() -> None:
    covariances = [[[1.0, 0.0], [0.0, 1.0]], [[1e-6, 0.0], [0.0, 1.0]]]
    narrow = Gaussians(2, samples=9, means=[[0.0, 0.0], [1.0, 0.0]], covariances=covariances, priors=[1, 1])
    assert not NormalPlane(narrow).fits


def test_the_finer_plane_has_half_the_spacing_until_that_does_not_fit() -> None:
    plane = NormalPlane(normal_classes(2))
    finer = plane.finer
    assert finer is not None
    assert finer.axes[0][1] - finer.axes[0][0] == pytest.approx((plane.axes[0][1] - plane.axes[0][0]) / 2, rel=0.05)
    planes = [plane]
    while (following := planes[-1].finer) is not None:
        planes.append(following)
    assert len(planes) < 6
