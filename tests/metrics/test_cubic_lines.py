import numpy as np
import pytest
import torch
from scipy.stats import norm

from src.metrics.cubic_lines import NODES, CubicLines
from src.metrics.population import PANELS
from tests.metrics.references import Floats, make_distribution

NOISES = ("uniform", "gaussian")


@pytest.mark.parametrize("noise", NOISES)
def test_the_masses_have_the_moments_of_the_distribution(noise: str) -> None:
    distribution = make_distribution(3, noise, samples_per_class=7, priors=[0.5, 0.3, 0.2])
    lines = CubicLines(distribution, PANELS)
    shift = lines.features[:, 1] - distribution.curve(lines.features[:, 0])
    mass = torch.from_numpy(lines.mass)
    assert lines.shape[0] * lines.shape[1] == len(lines.features) == len(mass)
    assert mass.sum(0).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=1e-7)
    mean = (mass * shift[:, None]).sum(0) / mass.sum(0)
    assert mean.tolist() == pytest.approx(distribution.centres.tolist(), abs=1e-7)
    variance = (mass * (shift[:, None] - mean).square()).sum(0) / mass.sum(0)
    assert variance.sqrt().tolist() == pytest.approx([distribution.deviation] * 3, abs=1e-6)


def test_lines_begin_and_end_at_the_ends_of_the_bands_without_mass() -> None:
    distribution = make_distribution(2, samples_per_class=5)
    lines = CubicLines(distribution, PANELS)
    assert PANELS * NODES + 2 <= lines.shape[1] <= PANELS * NODES * 1.2
    ends = lines.features.view(*lines.shape, 2)[:, [0, -1]]
    shift = ends[..., 1] - distribution.curve(ends[..., 0])
    np.testing.assert_allclose(shift, [[-0.3, 0.3]] * 5, atol=1e-12)
    assert not lines.mass.reshape(*lines.shape, 2)[:, [0, -1]].any()


def test_finer_lines_have_twice_the_panels_up_to_a_limit() -> None:
    lines: CubicLines | None = CubicLines(make_distribution(2, samples_per_class=2), PANELS)
    count = 0
    while lines is not None:
        places, lines, count = lines.shape[1], lines.finer, count + 1
        assert lines is None or lines.shape[1] == pytest.approx(2 * places, rel=0.1)
    assert count == 6


def thresholds(lines: CubicLines, heights: Floats) -> tuple[float, Floats]:
    """Return what is found for classifiers that decide for class 1 above a distance from the cubic on each line."""
    place = np.tile(np.arange(lines.shape[0]), (lines.shape[1], 1)).T

    def scores(line: Floats, noise: Floats) -> tuple[Floats, Floats]:
        lead = noise - heights[line.astype(int)]
        return np.stack([-lead, lead], axis=-1), (lead > 0).astype(int)

    x = lines.features.view(*lines.shape, 2)
    noise = (x[..., 1] - lines._distribution.curve(x[..., 0])).numpy()
    [found] = lines.accuracies(lambda at, owner: scores(*at.T), *(part[None] for part in scores(place, noise)))
    return found


@pytest.mark.parametrize("noise", NOISES)
def test_thresholds_on_lines_have_the_mass_of_distribution_functions(noise: str) -> None:
    distribution = make_distribution(2, noise, samples_per_class=6)
    heights = np.array([-0.9, -0.2999, -0.11, 0.0, 0.0371, 0.9])
    accuracy, place = thresholds(CubicLines(distribution, PANELS), heights)
    assert place[:, 0].tolist() == [1, 2, 3, 4]  # the others lie outside
    np.testing.assert_allclose(place[:, 1], heights[1:5], atol=1e-8)
    if noise == "gaussian":
        below = norm.cdf(heights[:, None], distribution.centres, 0.2 / 3**0.5)
    else:
        below = np.clip((heights[:, None] - distribution.centres.numpy() + 0.2) / 0.4, 0, 1)
    assert accuracy == pytest.approx((below[:, 0] + 1 - below[:, 1]).mean() / 2, abs=1e-8)


@pytest.mark.parametrize("noise", NOISES)
def test_pieces_of_cut_panels_keep_the_mass_and_end_at_changes(noise: str) -> None:
    distribution = make_distribution(2, noise, samples_per_class=4)
    lines = CubicLines(distribution, PANELS)
    place = np.array([[0, -0.21], [0, -0.20999], [0, 0.05], [2, 0.2503], [3, -0.3], [3, 0.3]])
    mass, points, part_mass = lines.cut(place)
    assert mass.shape == lines.mass.shape
    np.testing.assert_allclose(mass.sum(0) + part_mass.sum(0), lines.mass.sum(0), atol=1e-12)
    whole = mass.reshape(*lines.shape, 2).sum((1, 2))
    pieces = np.bincount(points[:, 0].astype(int), weights=part_mass.sum(1), minlength=4)
    np.testing.assert_allclose(whole + pieces, lines.mass.sum() / 4, atol=1e-12)
    assert pieces[1] == 0
    # Between neighbours of one piece there is no change, but between every two pieces of a panel there is one.
    parts = points.reshape(-1, NODES, 2)
    for line, noise_ in place[:4]:
        inside = (parts[:, 0, 0] == line) & (parts[:, 0, 1] < noise_) & (parts[:, -1, 1] > noise_)
        assert not inside.any()
    assert len(parts) == 3 + 2 + 2 + 2 + 2
