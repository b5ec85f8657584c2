import numpy as np
import pytest
import torch
from scipy import stats

from src.data.xor import Xor
from src.utils.validation import SettingsError


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def joint(x: np.ndarray, noise_std: float) -> np.ndarray:
    """Return prior times density of both classes (..., 2), a sum over the corners."""
    total = np.zeros((*x.shape[:-1], 2))
    for a in (0, 1):
        for b in (0, 1):
            total[..., a ^ b] += stats.multivariate_normal((a, b), noise_std**2).pdf(x) / 4
    return total


def test_a_sample_has_its_points_around_the_four_corners() -> None:
    distribution = Xor(2, samples_per_corner=2000, noise_std=0.1)
    x, target = distribution.sample(generators(0))
    assert (x.shape, x.dtype, target.shape, target.dtype) == ((1, 8000, 2), torch.float64, (1, 8000), torch.int64)
    bits = x[0].round().long()
    assert torch.equal(bits[:, 0] ^ bits[:, 1], target[0])
    assert bits.unique(dim=0, return_counts=True)[1].tolist() == [2000] * 4
    noise = (x[0] - bits).numpy() / 0.1
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01


def test_generators_are_used_alone_and_in_their_order() -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=0.3)
    x, _ = distribution.sample(generators(4, 9))
    for index, seed in enumerate((4, 9)):
        assert torch.equal(x[index], distribution.sample(generators(seed))[0][0])


@pytest.mark.parametrize("noise_std", [0.15, 0.5, 2.0])
def test_the_posterior_is_bayes_rule_on_the_sum_over_the_corners(noise_std: float) -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=noise_std)
    x = np.random.default_rng(0).uniform(-1, 2, (3, 50, 2))
    expected = joint(x, noise_std)
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(distribution.posterior(torch.from_numpy(x)), expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(distribution.bayes_rule(torch.from_numpy(x)), expected.argmax(-1))


def test_the_posterior_is_certain_far_away_and_never_nan() -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=0.1)
    far = torch.tensor([[-1e3, -1e3], [1e3, -1e3], [1e3, 1e3]])
    assert distribution.posterior(far).tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("noise_std", [0.15, 0.5, 2.0])
def test_the_bayes_accuracy_is_the_integral_of_the_largest_density(noise_std: float) -> None:
    axis = np.linspace(0.5 - 0.5 - 8 * noise_std, 0.5 + 0.5 + 8 * noise_std, 1001)  # the boundary is a grid line
    grid = np.stack(np.meshgrid(axis, axis), -1)
    expected = joint(grid, noise_std).max(-1).sum() * (axis[1] - axis[0]) ** 2
    assert Xor(2, samples_per_corner=5, noise_std=noise_std).bayes_accuracy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("resolution", [1, 7, 64, 512])
def test_the_population_is_exact_for_the_bayes_rule(resolution: int) -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=0.4)
    x, mass = distribution.population(resolution)
    assert len(x) == len(mass) == 4 * (-(-resolution // 4)) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mass.sum(0), 0.5, rtol=1e-12)
    assert mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item() == pytest.approx(
        distribution.bayes_accuracy(), abs=1e-12
    )


def test_the_population_holds_the_mass_of_the_corners_in_each_cell() -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=0.4)
    x, mass = distribution.population(512)
    side = x[:, 1].diff().max().item()
    inner = ((x - 0.5).abs() < 1.5).all(1)
    np.testing.assert_allclose(mass[inner], joint(x[inner].numpy(), 0.4) * side**2, rtol=0.01, atol=1e-9)


def test_no_straight_line_gets_more_than_three_corners() -> None:
    distribution = Xor(2, samples_per_corner=5, noise_std=0.1)
    x, mass = distribution.population(128)
    angles, offsets = np.linspace(0, np.pi, 25), np.linspace(-1, 1, 41)
    best = 0.0
    for angle in angles:
        along = (x - 0.5) @ torch.tensor([np.cos(angle), np.sin(angle)])
        for offset in offsets:
            reached = mass.gather(1, (along > offset).long()[:, None]).sum().item()
            best = max(best, reached, 1 - reached)
    assert best == pytest.approx(0.75, abs=0.01)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        Xor(3, samples_per_corner=0, noise_std=0)
    assert [problem.name for problem in caught.value.problems] == ["classes", "samples_per_corner", "noise_std"]
