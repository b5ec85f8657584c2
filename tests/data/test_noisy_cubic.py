import math
from collections.abc import Iterator
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from src.data.label_noise import crossings
from src.data.noisy_cubic import NoisyCubic, cubic
from src.training.single_thread import single_threaded
from src.utils.validation import SettingsError

few = settings(max_examples=25, deadline=None, derandomize=True)
NOISES = ("uniform", "gaussian")
CASES = [
    (2, 0.2, None),
    (2, 0.0, None),
    (2, 0.1, [1, 0]),
    (2, 0.4, None),
    (3, 0.2, [2, 0, 1]),
    (4, 0.1, None),
    (4, 0.5, [3, 1, 0, 2]),
    (5, 0.2, None),
]
every_distribution = pytest.mark.parametrize(
    "distribution_arguments",
    [(*case, noise) for case in CASES for noise in NOISES],
    ids=lambda value: "-".join(map(str, value)),
)


@pytest.fixture(autouse=True, scope="module")
def on_one_thread() -> Iterator[None]:
    with single_threaded():
        yield


def make_distribution(classes: int = 2, **changes: Any) -> NoisyCubic:
    defaults = {
        "samples_per_class": 80,
        "noise": "uniform",
        "half_width": 0.2,
        "spacing": 0.2,
        "label_order": None,
        "priors": None,
        "flip": 0,
    }
    return NoisyCubic(classes, **(defaults | changes))


def distribution_of(arguments: tuple[int, float, list[int] | None, str], **changes: Any) -> NoisyCubic:
    classes, spacing, label_order, noise = arguments
    return make_distribution(classes, spacing=spacing, label_order=label_order, noise=noise, **changes)


def densities(distribution: NoisyCubic, order: list[int] | None) -> list[Any]:
    """Return each label's distribution of y around the cubic, as scipy has it."""
    bands = list(range(distribution.classes)) if order is None else order
    centres = [
        distribution.spacing * ((distribution.classes - 1) / 2 - bands.index(label))
        for label in range(distribution.classes)
    ]
    if distribution.noise == "uniform":
        return [stats.uniform(centre - distribution.half_width, 2 * distribution.half_width) for centre in centres]
    return [stats.norm(centre, distribution.half_width / math.sqrt(3)) for centre in centres]


def slides_arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return normalised x and y by the slides' own loop."""
    xs, ys = [], []
    x = -10.0
    while x < 10:
        xs.append(x)
        ys.append(3 * x**3 + 2 * x**2 + 5 * x)
        x += 0.25
    return tuple((v - v.min()) / (v.max() - v.min()) for v in (np.array(xs), np.array(ys)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def around_curve(distribution: NoisyCubic, x1: float, offsets: np.ndarray) -> torch.Tensor:
    """Return points at one x, at some offsets from the cubic."""
    y = distribution.curve(torch.tensor(x1, dtype=torch.float64)).item() + offsets
    return torch.tensor(np.stack([np.full_like(y, x1), y], axis=-1))


# The sample.


def test_two_classes_are_the_slides_arrays() -> None:
    x, target = make_distribution().sample([generator()])
    assert (x.shape, x.dtype) == ((1, 160, 2), torch.float64)
    assert (target.shape, target.dtype) == ((1, 160), torch.int64)
    assert target[0].tolist() == [0, 1] * 80
    grid, curve = slides_arrays()
    assert len(grid) == 80
    points = x[0].numpy()
    np.testing.assert_allclose(points[0::2, 0], grid, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(points[0::2, 0], points[1::2, 0])
    upper, lower = points[0::2, 1] - curve, points[1::2, 1] - curve
    assert -0.1 - 1e-12 <= upper.min() < -0.07 < 0.27 < upper.max() <= 0.3 + 1e-12
    assert -0.3 - 1e-12 <= lower.min() < -0.27 < 0.07 < lower.max() <= 0.1 + 1e-12


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_points_of_more_classes_are_stored_in_turn_at_each_x(classes: int) -> None:
    distribution = make_distribution(classes, samples_per_class=7)
    x, target = distribution.sample([generator(0), generator(1)])
    assert distribution.size == 7 * classes
    assert target.tolist() == [list(range(classes)) * 7] * 2
    assert torch.equal(x[..., 0], x[0, ::classes, 0].repeat_interleave(classes).expand(2, -1))


def test_generators_are_used_alone_and_in_their_order() -> None:
    distribution = make_distribution(3)
    stacked, _ = distribution.sample([generator(4), generator(9)])
    for index, seed in enumerate((4, 9)):
        alone, _ = distribution.sample([generator(seed)])
        assert torch.equal(stacked[index], alone[0])
    assert not torch.equal(stacked[0], stacked[1])


@pytest.mark.parametrize("noise", NOISES)
def test_noise_has_the_distribution_that_is_asked_for(noise: str) -> None:
    distribution = make_distribution(3, noise=noise, half_width=0.3, spacing=0.1)
    one = generator(5)
    x, _ = distribution.sample([one] * 100)  # (100, 240, 2)
    _, curve = slides_arrays()
    offsets = x[..., 1].numpy().reshape(-1, 3) - np.tile(curve, 100)[:, None]  # (8000, C)
    for label, density in enumerate(densities(distribution, None)):
        assert stats.kstest(offsets[:, label], density.cdf).pvalue > 0.01
        assert abs(offsets[:, label].mean() - density.mean()) < 4 * density.std() / 8000**0.5
        assert offsets[:, label].std() == pytest.approx(0.3 / math.sqrt(3), rel=0.03)
    residuals = offsets - np.array([distribution.mean() for distribution in densities(distribution, None)])
    if noise == "uniform":
        assert -0.3 - 1e-12 <= residuals.min() < -0.2999 < 0.2999 < residuals.max() <= 0.3 + 1e-12
    else:
        assert np.abs(residuals).max() > 3 * 0.3 / math.sqrt(3)
    correlation = np.corrcoef(residuals, rowvar=False) - np.eye(3)
    assert np.abs(correlation).max() < 4 / 8000**0.5
    assert distribution.deviation == pytest.approx(0.3 / math.sqrt(3), rel=1e-15)


def test_both_noises_have_the_same_deviation() -> None:
    assert make_distribution(noise="uniform").deviation == make_distribution(noise="gaussian").deviation


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_label_order_says_which_label_sits_on_which_band_from_the_top(order: tuple[int, ...]) -> None:
    distribution = make_distribution(3, label_order=order, half_width=0.01, spacing=0.5)
    x, target = distribution.sample([generator()])
    _, curve = slides_arrays()
    offsets = x[0, :, 1].numpy() - np.repeat(curve, 3)
    for band, centre in enumerate((0.5, 0.0, -0.5)):
        assert np.abs(offsets[target[0].numpy() == order[band]] - centre).max() <= 0.01 + 1e-12


def test_cubic_and_curve_follow_the_slides() -> None:
    grid, curve = slides_arrays()
    np.testing.assert_allclose(make_distribution().curve(torch.tensor(grid)).numpy(), curve, rtol=0, atol=1e-14)
    x = np.linspace(-10, 10, 41)
    np.testing.assert_allclose(cubic(torch.tensor(x)).numpy(), 3 * x**3 + 2 * x**2 + 5 * x, rtol=1e-14, atol=1e-12)


@few
@given(st.integers(2, 200))
def test_curve_runs_from_0_to_1_and_always_rises(samples: int) -> None:
    curve = make_distribution(samples_per_class=samples).curve(torch.linspace(0, 1, 301, dtype=torch.float64))
    assert (curve[0].item(), curve[-1].item()) == (0, 1)
    assert (curve.diff() > 0).all()


# The posterior and the Bayes rule.


@every_distribution
def test_posterior_is_bayes_rule_on_the_densities(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments)
    distributions = densities(distribution, distribution_arguments[2])
    offsets = np.random.default_rng(0).uniform(-1.5, 1.5, 400)
    for x1 in (0.0, 0.3, 1.0):
        density = np.stack([distribution.pdf(offsets) for distribution in distributions], axis=-1)  # (400, C)
        total = density.sum(-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            expected = np.where(total > 0, density / total, 1 / distribution.classes)
        posterior = distribution.posterior(around_curve(distribution, x1, offsets))
        assert (posterior.shape, posterior.dtype) == ((400, distribution.classes), torch.float64)
        np.testing.assert_allclose(posterior.numpy(), expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(posterior.sum(-1).numpy(), 1, rtol=1e-14)


def test_posterior_keeps_any_leading_axes_and_takes_single_precision() -> None:
    distribution = make_distribution(3, noise="gaussian")
    x, _ = distribution.sample([generator(0), generator(1)])
    assert distribution.posterior(x).shape == (2, 240, 3)
    torch.testing.assert_close(distribution.posterior(x.float()), distribution.posterior(x), rtol=0, atol=1e-5)
    assert distribution.bayes_rule(x).shape == (2, 240)
    assert distribution.bayes_rule(x).dtype == torch.int64


def test_posterior_of_gaussian_noise_is_certain_far_away_and_never_nan() -> None:
    distribution = make_distribution(4, noise="gaussian")
    far = around_curve(distribution, 0.5, np.array([-1e3, 1e3]))
    assert distribution.posterior(far).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


@every_distribution
def test_bayes_rule_picks_a_label_of_the_largest_posterior(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments)
    points = around_curve(distribution, 0.4, np.random.default_rng(1).uniform(-1.5, 1.5, 400))
    posterior, label = distribution.posterior(points), distribution.bayes_rule(points)
    assert torch.equal(posterior.gather(-1, label[:, None])[:, 0], posterior.max(-1).values)


@few
@given(st.sampled_from(NOISES), st.permutations(range(4)), st.floats(0.01, 1), st.floats(0, 1, allow_subnormal=False))
def test_relabelling_the_bands_permutes_the_posterior(
    noise: str, order: list[int], half_width: float, spacing: float
) -> None:
    shape = {"noise": noise, "half_width": half_width, "spacing": spacing}
    plain, relabelled = make_distribution(4, **shape), make_distribution(4, label_order=order, **shape)
    points = around_curve(plain, 0.7, np.linspace(-2, 2, 57))
    torch.testing.assert_close(relabelled.posterior(points)[:, order], plain.posterior(points), rtol=0, atol=1e-14)
    assert relabelled.bayes_accuracy() == plain.bayes_accuracy()


# The Bayes accuracy.


def integrated_bayes_accuracy(distribution: NoisyCubic, order: list[int] | None) -> float:
    """Integrate the largest joint density over y, piece by piece between the places where it may bend."""
    distributions = densities(distribution, order)
    centres = sorted(distribution.mean() for distribution in distributions)
    reach = distribution.half_width if distribution.noise == "uniform" else 12 * distribution.deviation
    bends = {edge for centre in centres for edge in (centre - reach, centre, centre + reach)}
    bends |= {(low + high) / 2 for low, high in pairwise(centres)}

    def largest(y: float) -> float:
        return max(distribution.pdf(y) for distribution in distributions) / distribution.classes

    pieces = pairwise(sorted(bends))
    return sum(integrate.quad(largest, low, high)[0] for low, high in pieces if high - low > 1e-12)


@every_distribution
def test_bayes_accuracy_is_the_integral_of_the_largest_density(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments)
    assert distribution.bayes_accuracy() == pytest.approx(
        integrated_bayes_accuracy(distribution, distribution_arguments[2]), abs=1e-7
    )


@pytest.mark.parametrize(
    ("classes", "spacing", "expected"),
    [(2, 0.2, 0.75), (3, 0.2, 2 / 3), (4, 0.2, 0.625), (2, 0.0, 0.5), (5, 0.0, 0.2), (4, 0.4, 1.0), (4, 9.0, 1.0)],
)
def test_uniform_bayes_accuracy_in_known_cases(classes: int, spacing: float, expected: float) -> None:
    assert make_distribution(classes, spacing=spacing).bayes_accuracy() == pytest.approx(expected, rel=1e-15)


def test_gaussian_bayes_accuracy_in_known_cases() -> None:
    two = make_distribution(2, noise="gaussian").bayes_accuracy()  # one boundary, sqrt(3)/2 standard deviations away
    assert two == pytest.approx(stats.norm.cdf(math.sqrt(3) / 2), rel=1e-14)
    assert make_distribution(4, noise="gaussian", spacing=0.0).bayes_accuracy() == pytest.approx(0.25, rel=1e-15)
    assert make_distribution(4, noise="gaussian", spacing=9.0).bayes_accuracy() == 1


@few
@given(st.integers(2, 8), st.sampled_from(NOISES), st.floats(0.01, 1), st.floats(0, 2, allow_subnormal=False))
def test_bayes_accuracy_rises_with_the_spacing_from_chance_to_1(
    classes: int, noise: str, half_width: float, spacing: float
) -> None:
    accuracy = [
        make_distribution(classes, noise=noise, half_width=half_width, spacing=factor * spacing).bayes_accuracy()
        for factor in (0, 0.5, 1)
    ]
    assert accuracy[0] == pytest.approx(1 / classes)
    assert accuracy[0] - 1e-12 <= accuracy[1] <= accuracy[2] <= 1
    scaled = make_distribution(classes, noise=noise, half_width=3 * half_width, spacing=3 * spacing).bayes_accuracy()
    assert scaled == pytest.approx(accuracy[2], rel=1e-9)


# The population.


@every_distribution
def test_population_masses_are_those_of_the_distribution(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments, samples_per_class=6)
    x, mass = distribution.population(64)
    assert (x.dtype, mass.dtype) == (torch.float64, torch.float64)
    assert x.shape == (len(mass), 2)
    assert mass.shape == (len(x), distribution.classes)
    assert mass.min() >= 0
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(mass.sum(0).numpy(), 1 / distribution.classes, rtol=1e-12)
    values, counts = x[:, 0].unique(return_counts=True)
    torch.testing.assert_close(values, torch.linspace(0, 1, 6, dtype=torch.float64), rtol=0, atol=1e-12)
    assert len(set(counts.tolist())) == 1
    assert 64 <= counts[0] <= 64 + 3 * distribution.classes


@every_distribution
def test_population_cells_hold_the_mass_that_the_densities_give_them(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments, samples_per_class=3)
    x, mass = distribution.population(40)
    offsets = (x[:, 1] - distribution.curve(x[:, 0]))[: len(x) // 3].numpy()
    mass = mass[: len(x) // 3].numpy() * 3 * distribution.classes  # of the first x value, given the class
    for label, density in enumerate(densities(distribution, distribution_arguments[2])):
        edges = np.concatenate([[-np.inf], (offsets[1:] + offsets[:-1]) / 2, [np.inf]])
        roughly = np.diff(density.cdf(edges))  # edges midway between middles: right to within a cell
        width = np.diff(offsets).max()
        assert np.abs(np.cumsum(mass[:, label]) - np.cumsum(roughly)).max() <= width * density.pdf(density.mean())


@every_distribution
def test_population_integrates_the_bayes_rule_exactly_and_nothing_beats_it(distribution_arguments: Any) -> None:
    distribution = distribution_of(distribution_arguments, samples_per_class=5)
    for resolution in (1, 7, 512):
        x, mass = distribution.population(resolution)
        reached = mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item()
        assert reached == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)
        assert mass.max(1).values.sum().item() <= reached + 1e-12


def closed_form(distribution: NoisyCubic, order: list[int] | None, upper: int, lower: int, offset: float) -> float:
    """Return the accuracy of the classifier that says ``upper`` above the curve plus an offset, and ``lower`` below."""
    distributions = densities(distribution, order)
    return float(distributions[upper].sf(offset) + distributions[lower].cdf(offset)) / distribution.classes


@every_distribution
@pytest.mark.parametrize("offset", [-0.23, 0.0123, 0.31])
def test_population_integrates_a_threshold_to_within_a_cell(distribution_arguments: Any, offset: float) -> None:
    distribution, order = distribution_of(distribution_arguments, samples_per_class=11), distribution_arguments[2]
    for resolution in (16, 256):
        x, mass = distribution.population(resolution)
        above = x[:, 1] > distribution.curve(x[:, 0]) + offset
        accuracy = torch.where(above, mass[:, 0], mass[:, 1]).sum().item()
        a_cell = 11 * mass[:, :2].max().item()  # the threshold cuts the same cell at each x
        assert abs(accuracy - closed_form(distribution, order, 0, 1, offset)) <= a_cell


@pytest.mark.parametrize("noise", NOISES)
def test_population_integrates_a_horizontal_line(noise: str) -> None:
    distribution = make_distribution(3, noise=noise)
    x, mass = distribution.population(512)
    accuracy = torch.where(x[:, 1] > 0.6, mass[:, 0], mass[:, 2]).sum().item()
    _, curve = slides_arrays()
    expected = np.mean([closed_form(distribution, None, 0, 2, 0.6 - y) for y in curve])
    assert accuracy == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("classes", [2, 4])
def test_population_agrees_with_simulation(classes: int, noise: str) -> None:
    distribution = make_distribution(classes, noise=noise)

    def wavy(x: torch.Tensor) -> torch.Tensor:
        return distribution.bayes_rule(x + 0.08 * torch.sin(9 * x[..., :1]))

    one = generator(3)
    points, target = distribution.sample([one] * 1000)
    x, mass = distribution.population(512)
    for rule in (distribution.bayes_rule, wavy):
        simulated = (rule(points) == target).double().mean().item()
        exact = mass.gather(1, rule(x)[:, None]).sum().item()
        assert abs(simulated - exact) < 4 * (0.25 / target.numel()) ** 0.5


@pytest.mark.parametrize("samples", [65, 100, 1000])
def test_population_thins_a_grid_finer_than_the_resolution(samples: int) -> None:
    distribution = make_distribution(samples_per_class=samples)
    x, mass = distribution.population(64)
    values = x[:, 0].unique()
    grid = np.linspace(0, 1, samples)
    assert len(values) == 64
    assert np.abs(values.numpy()[:, None] - grid).min(1).max() < 1e-12
    steps = np.round(np.diff(values.numpy()) * (samples - 1)).astype(int)
    assert steps.max() - steps.min() <= 1
    assert values[0].item() + values[-1].item() == pytest.approx(1, abs=2 / samples)
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    assert mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item() == pytest.approx(0.75, abs=1e-9)
    line = torch.where(x[:, 1] > 0.6, mass[:, 0], mass[:, 1]).sum().item()
    curve = distribution.curve(torch.tensor(grid)).numpy()
    assert line == pytest.approx(np.mean([closed_form(distribution, None, 0, 1, 0.6 - y) for y in curve]), abs=2e-3)


@few
@given(
    st.integers(2, 6),
    st.sampled_from(NOISES),
    st.floats(0.01, 1),
    st.floats(0, 2, allow_subnormal=False),
    st.integers(1, 90),
)
def test_population_is_a_distribution_that_integrates_the_bayes_rule(
    classes: int, noise: str, half_width: float, spacing: float, resolution: int
) -> None:
    distribution = make_distribution(classes, samples_per_class=3, noise=noise, half_width=half_width, spacing=spacing)
    x, mass = distribution.population(resolution)
    assert mass.min() >= 0
    np.testing.assert_allclose(mass.sum(0).numpy(), 1 / classes, rtol=1e-9)
    reached = mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item()
    assert reached == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)


# Priors and wrong labels.

MIXED: list[dict[str, Any]] = [
    {"classes": 2, "priors": [0.9, 0.1]},
    {"classes": 2, "flip": 0.2},
    {"classes": 2, "priors": [0.3, 0.7], "flip": [0.0, 0.4]},
    {"classes": 3, "priors": [0.2, 0.3, 0.5], "flip": 0.3, "label_order": [2, 0, 1]},
    {"classes": 4, "priors": [0.02, 0.9, 0.04, 0.04], "flip": [0.1, 0.0, 0.7, 0.2], "spacing": 0.1},
]
every_mix = pytest.mark.parametrize("mix", MIXED, ids=str)
every_noise = pytest.mark.parametrize("noise", NOISES)


def label_densities(distribution: NoisyCubic, mix: dict[str, Any]) -> list[Any]:
    """Return the joint density of each label, as its definition has it: right labels, and those of other classes."""
    classes = mix["classes"]
    priors, flip = mix.get("priors") or [1 / classes] * classes, mix.get("flip", 0)
    rates = flip if isinstance(flip, list) else [flip] * classes
    given = densities(distribution, mix.get("label_order"))

    def density(label: int, y: Any) -> Any:
        total = priors[label] * (1 - rates[label]) * given[label].pdf(y)
        for other in range(classes):
            if other != label:
                total = total + priors[other] * rates[other] / (classes - 1) * given[other].pdf(y)
        return total

    return [lambda y, label=label: density(label, y) for label in range(classes)]


@every_mix
@every_noise
def test_posterior_of_priors_and_wrong_labels_is_bayes_rule(noise: str, mix: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, **mix)
    offsets = np.random.default_rng(2).uniform(-0.5, 0.5, 300)
    joint = np.stack([density(offsets) for density in label_densities(distribution, mix)], axis=-1)
    known = joint.sum(-1) > 0
    points = around_curve(distribution, 0.6, offsets[known])
    np.testing.assert_allclose(
        distribution.posterior(points), (joint[known] / joint[known].sum(-1, keepdims=True)), rtol=1e-9
    )
    best = distribution.posterior(points).gather(-1, distribution.bayes_rule(points)[:, None])[:, 0]
    torch.testing.assert_close(best, distribution.posterior(points).amax(-1), rtol=1e-12, atol=0)


@every_mix
@every_noise
def test_bayes_accuracy_of_priors_and_wrong_labels_is_an_integral(noise: str, mix: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=5, **mix)
    joint = label_densities(distribution, mix)
    y = np.linspace(-1.6, 1.6, 320_001)
    largest = np.max([density(y) for density in joint], axis=0)
    assert distribution.bayes_accuracy() == pytest.approx(integrate.trapezoid(largest, y), abs=1e-4)
    x, mass = distribution.population(64)
    reached = mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item()
    assert reached == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)
    shares = [integrate.trapezoid(density(y), y) for density in joint]
    np.testing.assert_allclose(mass.sum(0).numpy(), shares, atol=1e-4)


@every_mix
@every_noise
def test_a_sample_has_the_labels_that_the_population_has(noise: str, mix: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=2000, **mix)
    points, target = distribution.sample([generator(5), generator(6)])
    assert target.shape == (2, distribution.size) == points.shape[:2]
    _, mass = distribution.population(16)
    expected = target.numel() * mass.sum(0).numpy()
    observed = torch.bincount(target.flatten(), minlength=distribution.classes).numpy()
    if "priors" in mix or len(set(expected.round(6))) > 1:
        assert stats.chisquare(observed, expected).pvalue > 0.001
    right = (distribution.bayes_rule(points) == target).double().mean().item()
    assert abs(right - distribution.bayes_accuracy()) < 4 * (0.25 / target.numel()) ** 0.5
    assert torch.equal(distribution.sample([generator(5)])[1][0], target[0])


def test_wrong_labels_move_no_point_and_are_as_many_as_asked_for() -> None:
    (x, target), (noisy_x, noisy) = (
        make_distribution(4, samples_per_class=5000, flip=flip).sample([generator(1)]) for flip in (0, 0.3)
    )
    assert torch.equal(x, noisy_x)
    wrong = noisy != target
    assert stats.binomtest(int(wrong.sum()), target.numel(), 0.3).pvalue > 0.01
    steps = torch.bincount((noisy - target)[wrong] % 4, minlength=4)
    assert steps[0] == 0
    assert stats.chisquare(steps[1:].numpy()).pvalue > 0.01


@few
@given(st.lists(st.integers(-100, 100), min_size=2, max_size=6, unique=True), st.integers(0, 10**6), st.floats(0.05, 1))
def test_crossings_are_where_the_largest_density_changes(cents: list[int], number: int, deviation: float) -> None:
    centres = [cent / 100 for cent in cents]
    weights = np.random.default_rng(number).dirichlet(np.ones(len(centres))) + 1e-3
    found = crossings(torch.tensor(centres), torch.tensor(weights), deviation).numpy()
    y = np.linspace(-3, 3, 6001) + 1e-7
    score = np.log(weights) - 0.5 * ((y[:, None] - np.array(centres)) / deviation) ** 2
    changed = np.flatnonzero(np.diff(score.argmax(1)))
    inside = found[(found > y[0]) & (found < y[-1])]
    close = np.diff(inside).min(initial=1.0) > 2e-3
    if close:
        np.testing.assert_allclose(inside, (y[changed] + y[changed + 1]) / 2, atol=1e-3)


# Bad arguments.

FLIP = "a number at least 0 and below 0.5, from where on a label says nothing, or a list of 2 such"
WRONG = [
    ({"classes": 1}, "`classes` to be a whole number of at least 2, got 1."),
    ({"classes": 2.5, "label_order": [0, 1]}, "`classes` to be a whole number of at least 2, got 2.5."),
    ({"samples_per_class": 1}, "`samples_per_class` to be a whole number from 2 to 1000000, got 1."),
    ({"samples_per_class": 80.0}, "`samples_per_class` to be a whole number from 2 to 1000000, got 80.0."),
    ({"samples_per_class": None}, "`samples_per_class` to be a whole number from 2 to 1000000, got null."),
    ({"noise": "cauchy"}, '`noise` to be one of uniform, gaussian, got "cauchy".'),
    ({"half_width": 0}, "`half_width` to be a number above 0 and below 1e+06, got 0."),
    ({"half_width": -0.2}, "`half_width` to be a number above 0 and below 1e+06, got -0.2."),
    ({"half_width": math.inf}, "`half_width` to be a number above 0 and below 1e+06, got Infinity."),
    ({"half_width": "wide"}, '`half_width` to be a number above 0 and below 1e+06, got "wide".'),
    ({"spacing": -0.1}, "`spacing` to be a number at least 0 and below 1e+06, got -0.1."),
    ({"spacing": math.nan}, "`spacing` to be a number at least 0 and below 1e+06, got NaN."),
    ({"label_order": [0, 0]}, "`label_order` to be null or a permutation of 0, ..., 1, got [0, 0]."),
    ({"label_order": [1, 2]}, "`label_order` to be null or a permutation of 0, ..., 1, got [1, 2]."),
    ({"label_order": [0]}, "`label_order` to be null or a permutation of 0, ..., 1, got [0]."),
    ({"label_order": []}, "`label_order` to be null or a permutation of 0, ..., 1, got []."),
    ({"label_order": [0.0, 1.0]}, "`label_order` to be null or a permutation of 0, ..., 1, got [0.0, 1.0]."),
    ({"label_order": [False, True]}, "`label_order` to be null or a permutation of 0, ..., 1, got [false, true]."),
    ({"label_order": "01"}, '`label_order` to be null or a permutation of 0, ..., 1, got "01".'),
    ({"label_order": 0}, "`label_order` to be null or a permutation of 0, ..., 1, got 0."),
    ({"priors": [0.5, 0.6]}, "`priors` to be null or 2 numbers above 0 that sum to 1, got [0.5, 0.6]."),
    ({"priors": [1.0, 0.0]}, "`priors` to be null or 2 numbers above 0 that sum to 1, got [1.0, 0.0]."),
    ({"priors": [1.0]}, "`priors` to be null or 2 numbers above 0 that sum to 1, got [1.0]."),
    ({"priors": "half"}, '`priors` to be null or 2 numbers above 0 that sum to 1, got "half".'),
    ({"priors": [math.nan, 1]}, "`priors` to be null or 2 numbers above 0 that sum to 1, got [NaN, 1]."),
    ({"flip": 0.5}, f"`flip` to be {FLIP}, got 0.5."),
    ({"flip": -0.1}, f"`flip` to be {FLIP}, got -0.1."),
    ({"flip": [0.1]}, f"`flip` to be {FLIP}, got [0.1]."),
    ({"flip": [0.1, 0.6]}, f"`flip` to be {FLIP}, got [0.1, 0.6]."),
    ({"flip": None}, f"`flip` to be {FLIP}, got null."),
    ({"flip": True}, f"`flip` to be {FLIP}, got true."),
]


@pytest.mark.parametrize(("changes", "line"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_wrong_argument_is_named_with_its_value_and_the_rule(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_distribution(**changes)
    assert str(caught.value) == f"Expected {line}"


def test_all_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        make_distribution(
            samples_per_class=0, noise="pink", half_width=0, spacing=-1, label_order=[3], priors=[1], flip=1
        )
    names = [problem.name for problem in caught.value.problems]
    assert names == ["samples_per_class", "noise", "half_width", "spacing", "label_order", "priors", "flip"]
