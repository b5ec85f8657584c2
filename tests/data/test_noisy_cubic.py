import math
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from src.data.label_noise import crossings
from src.data.noisy_cubic import NoisyCubic, cubic
from src.utils.validation import SettingsError

few = settings(max_examples=25, deadline=None, derandomize=True)
NOISES = ("uniform", "gaussian")
CASES: list[dict[str, Any]] = [
    {"classes": 2},
    {"classes": 2, "spacing": 0.0},
    {"classes": 2, "spacing": 0.1, "label_order": [1, 0]},
    {"classes": 4, "spacing": 0.5, "label_order": [3, 1, 0, 2]},
    {"classes": 5},
    {"classes": 2, "priors": [0.9, 0.1]},
    {"classes": 2, "flip": 0.2},
    {"classes": 2, "priors": [0.3, 0.7], "flip": [0.0, 0.4]},
    {"classes": 3, "priors": [0.2, 0.3, 0.5], "flip": 0.3, "label_order": [2, 0, 1]},
    {"classes": 4, "priors": [0.02, 0.9, 0.04, 0.04], "flip": [0.1, 0.0, 0.7, 0.2], "spacing": 0.1},
]
every_noise = pytest.mark.parametrize("noise", NOISES)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def make_distribution(classes: int = 2, **changes: Any) -> NoisyCubic:
    defaults = {"samples_per_class": 80, "noise": "uniform", "half_width": 0.2, "spacing": 0.2}
    return NoisyCubic(classes, **defaults | {"label_order": None, "priors": None, "flip": 0} | changes)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slides_arrays() -> tuple[NDArray[np.float64], ...]:
    """Return normalised x and y by the slides' own loop."""
    xs, ys = [], []
    x = -10.0
    while x < 10:
        xs.append(x)
        ys.append(3 * x**3 + 2 * x**2 + 5 * x)
        x += 0.25
    return tuple((v - v.min()) / (v.max() - v.min()) for v in (np.array(xs), np.array(ys)))


def around_curve(distribution: NoisyCubic, x1: float, offsets: NDArray[np.float64]) -> torch.Tensor:
    """Return samples at one x, at some offsets from the cubic."""
    y = distribution.curve(torch.tensor(x1, dtype=torch.float64)).item() + offsets
    return torch.tensor(np.stack([np.full_like(y, x1), y], axis=-1))


class Reference:
    """The distribution of y around the cubic, by its definition and scipy's densities."""

    def __init__(self, distribution: NoisyCubic, case: dict[str, Any]) -> None:
        classes = distribution.classes
        bands = case.get("label_order") or list(range(classes))
        flip = case.get("flip", 0)
        rates = flip if isinstance(flip, list) else [flip] * classes
        self.priors = np.array(case.get("priors") or [1 / classes] * classes)
        centres = [distribution.spacing * ((classes - 1) / 2 - bands.index(label)) for label in range(classes)]
        half_width, deviation = distribution.half_width, distribution.half_width / math.sqrt(3)
        if distribution.noise == "uniform":
            self.given = [stats.uniform(centre - half_width, 2 * half_width) for centre in centres]
        else:
            self.given = [stats.norm(centre, deviation) for centre in centres]
        # P(label | class), (C, C): right labels on the diagonal, wrong ones shared evenly by the other labels.
        self.channel = np.array(
            [
                [1 - rate if label == own else rate / (classes - 1) for label in range(classes)]
                for own, rate in enumerate(rates)
            ]
        )

    def joint(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the joint density of y (n,) and each label, (n, C)."""
        density: NDArray[np.float64] = np.stack([given.pdf(y) for given in self.given], axis=-1) * self.priors
        return density @ self.channel

    def below(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the joint probability of at most y (n,) and each label, (n, C)."""
        mass: NDArray[np.float64] = np.stack([given.cdf(y) for given in self.given], axis=-1) * self.priors
        return mass @ self.channel

    def bayes_accuracy(self) -> float:
        """Integrate the largest joint density over y, between the places where it jumps and on a fine grid."""
        ends = {end for given in self.given for end in (*given.support(), *given.interval(1 - 1e-12))}
        edges = sorted(end for end in ends if math.isfinite(end))
        pieces = [np.linspace(low + 1e-12, high - 1e-12, 20_001) for low, high in pairwise(edges) if high - low > 1e-9]
        return float(sum(integrate.trapezoid(self.joint(y).max(-1), y) for y in pieces))


# Sampling.


def test_two_classes_are_the_slides_arrays() -> None:
    x, target = make_distribution().sample([generator()])
    assert (x.shape, x.dtype) == ((1, 160, 2), torch.float64)
    assert (target.shape, target.dtype) == ((1, 160), torch.int64)
    assert target[0].tolist() == [0, 1] * 80
    grid, curve = slides_arrays()
    assert len(grid) == 80
    samples = x[0].numpy()
    np.testing.assert_allclose(samples[0::2, 0], grid, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(samples[0::2, 0], samples[1::2, 0])
    upper, lower = samples[0::2, 1] - curve, samples[1::2, 1] - curve
    assert -0.1 - 1e-12 <= upper.min() < -0.07 < 0.27 < upper.max() <= 0.3 + 1e-12
    assert -0.3 - 1e-12 <= lower.min() < -0.27 < 0.07 < lower.max() <= 0.1 + 1e-12


def test_each_generator_gives_what_it_gives_alone_in_turn_at_each_x() -> None:
    distribution = make_distribution(3, samples_per_class=7)
    x, target = distribution.sample([generator(4), generator(9)])
    assert distribution.size == 21
    assert target.tolist() == [[0, 1, 2] * 7] * 2
    assert torch.equal(x[..., 0], x[0, ::3, 0].repeat_interleave(3).expand(2, -1))
    for index, seed in enumerate((4, 9)):
        assert torch.equal(x[index], distribution.sample([generator(seed)])[0][0])
    assert not torch.equal(x[0], x[1])


@every_noise
def test_noise_has_the_chosen_distribution_and_is_independent(noise: str) -> None:
    distribution = make_distribution(3, noise=noise, half_width=0.3, spacing=0.1)
    x, _ = distribution.sample([generator(5)] * 100)  # (100, 240, 2)
    _, curve = slides_arrays()
    offsets = x[..., 1].numpy().reshape(-1, 3) - np.tile(curve, 100)[:, None]  # (8000, C)
    given = Reference(distribution, {}).given
    for label, density in enumerate(given):
        assert stats.kstest(offsets[:, label], density.cdf).pvalue > 0.01
        assert offsets[:, label].std() == pytest.approx(distribution.deviation, rel=0.03)
    residuals = offsets - np.array([density.mean() for density in given])
    if noise == "uniform":
        assert -0.3 - 1e-12 <= residuals.min() < -0.2999 < 0.2999 < residuals.max() <= 0.3 + 1e-12
    correlation = np.corrcoef(residuals, rowvar=False) - np.eye(3)
    assert np.abs(correlation).max() < 4 / 8000**0.5
    assert distribution.deviation == pytest.approx(0.3 / math.sqrt(3), rel=1e-15)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_label_order_gives_the_labels_of_the_bands_from_the_top(order: tuple[int, ...]) -> None:
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


@every_noise
@pytest.mark.parametrize("case", CASES[3:], ids=str)
def test_labels_come_as_often_as_in_the_population(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=2000, **case)
    x, target = distribution.sample([generator(5), generator(6)])
    assert target.shape == (2, distribution.size) == x.shape[:2]
    _, mass = distribution.population(16)
    if "priors" in case:
        observed = torch.bincount(target.flatten(), minlength=distribution.classes).numpy()
        assert stats.chisquare(observed, target.numel() * mass.sum(0).numpy()).pvalue > 0.001
    right = (distribution.bayes_rule(x) == target).double().mean().item()
    assert abs(right - distribution.bayes_accuracy()) < 4 * (0.25 / target.numel()) ** 0.5
    assert torch.equal(distribution.sample([generator(5)])[1][0], target[0])


def test_flip_moves_no_sample_and_makes_its_share_of_labels_wrong() -> None:
    (x, target), (noisy_x, noisy) = (
        make_distribution(4, samples_per_class=5000, flip=flip).sample([generator(1)]) for flip in (0, 0.3)
    )
    assert torch.equal(x, noisy_x)
    wrong = noisy != target
    assert stats.binomtest(int(wrong.sum()), target.numel(), 0.3).pvalue > 0.01
    steps = torch.bincount((noisy - target)[wrong] % 4, minlength=4)
    assert steps[0] == 0
    assert stats.chisquare(steps[1:].numpy()).pvalue > 0.01


# The posterior, the Bayes rule and the Bayes accuracy.


@every_noise
@every_case
def test_posterior_follows_from_the_densities_and_the_rule_from_it(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, **case)
    reference = Reference(distribution, case)
    offsets = np.random.default_rng(0).uniform(-1.5, 1.5, 400)
    joint = reference.joint(offsets)
    total = joint.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # uniform noise has no density outside of the bands
        expected = np.where(total > 0, joint / total, reference.priors @ reference.channel)
    for x1 in (0.0, 0.3, 1.0):
        x = around_curve(distribution, x1, offsets)
        posterior = distribution.posterior(x)
        assert (posterior.shape, posterior.dtype) == ((400, distribution.classes), torch.float64)
        np.testing.assert_allclose(posterior.numpy(), expected, rtol=1e-6, atol=1e-9)
        inside = torch.from_numpy(total[:, 0] > 0)
        best = posterior.gather(-1, distribution.bayes_rule(x)[:, None])[:, 0]
        torch.testing.assert_close(best[inside], posterior.amax(-1)[inside], rtol=1e-12, atol=0)


def test_posterior_keeps_leading_axes_and_takes_single_precision() -> None:
    distribution = make_distribution(3, noise="gaussian")
    x, _ = distribution.sample([generator(0), generator(1)])
    assert distribution.posterior(x).shape == (2, 240, 3)
    torch.testing.assert_close(distribution.posterior(x.float()), distribution.posterior(x), rtol=0, atol=1e-5)
    assert distribution.bayes_rule(x).shape == (2, 240)
    assert distribution.bayes_rule(x).dtype == torch.int64


def test_posterior_of_gaussian_noise_is_certain_far_away() -> None:
    distribution = make_distribution(4, noise="gaussian")
    far = around_curve(distribution, 0.5, np.array([-1e3, 1e3]))
    assert distribution.posterior(far).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


@few
@given(st.sampled_from(NOISES), st.permutations(range(4)), st.floats(0.01, 1), st.floats(0, 1, allow_subnormal=False))
def test_relabelling_the_bands_permutes_the_posterior(
    noise: str, order: list[int], half_width: float, spacing: float
) -> None:
    shape = {"noise": noise, "half_width": half_width, "spacing": spacing}
    plain, relabelled = make_distribution(4, **shape), make_distribution(4, label_order=order, **shape)
    x = around_curve(plain, 0.7, np.linspace(-2, 2, 57))
    torch.testing.assert_close(relabelled.posterior(x)[:, order], plain.posterior(x), rtol=0, atol=1e-14)
    assert relabelled.bayes_accuracy() == plain.bayes_accuracy()


@every_noise
@every_case
def test_bayes_accuracy_is_the_integral_of_the_largest_density(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, **case)
    expected = Reference(distribution, case).bayes_accuracy()
    assert distribution.bayes_accuracy() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("noise", "classes", "spacing", "expected"),
    [
        *(("uniform", classes, 0.2, (1 + 1 / classes) / 2) for classes in (2, 3, 4)),
        *(("uniform", 5, 0.0, 0.2), ("uniform", 4, 0.4, 1.0), ("uniform", 4, 9.0, 1.0)),
        ("gaussian", 2, 0.2, stats.norm.cdf(math.sqrt(3) / 2)),  # sqrt(3) / 2 standard deviations to the boundary
        *(("gaussian", 4, 0.0, 0.25), ("gaussian", 4, 9.0, 1.0)),
    ],
)
def test_bayes_accuracy_in_known_cases(noise: str, classes: int, spacing: float, expected: float) -> None:
    accuracy = make_distribution(classes, noise=noise, spacing=spacing).bayes_accuracy()
    assert accuracy == pytest.approx(expected, rel=1e-14)


@few
@given(st.integers(2, 8), st.sampled_from(NOISES), st.floats(0.01, 1), st.floats(0, 2, allow_subnormal=False))
def test_bayes_accuracy_rises_with_the_spacing_from_chance_to_1(
    classes: int, noise: str, half_width: float, spacing: float
) -> None:
    def accuracy(spacing: float, half_width: float = half_width) -> float:
        return make_distribution(classes, noise=noise, half_width=half_width, spacing=spacing).bayes_accuracy()

    assert accuracy(0) == pytest.approx(1 / classes)
    assert accuracy(0) - 1e-12 <= accuracy(spacing / 2) <= accuracy(spacing) <= 1
    assert accuracy(3 * spacing, 3 * half_width) == pytest.approx(accuracy(spacing), rel=1e-9)


@few
@given(st.lists(st.integers(-100, 100), min_size=2, max_size=6, unique=True), st.integers(0, 10**6), st.floats(0.05, 1))
def test_crossings_are_where_the_largest_density_changes(cents: list[int], seed: int, deviation: float) -> None:
    centres = [cent / 100 for cent in cents]
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(centres))) + 1e-3
    found = crossings(torch.tensor(centres), torch.tensor(weights), deviation).numpy()
    y = np.linspace(-3, 3, 6001) + 1e-7
    score = np.log(weights) - 0.5 * ((y[:, None] - np.array(centres)) / deviation) ** 2
    changed = np.flatnonzero(np.diff(score.argmax(1)))
    inside = found[(found > y[0]) & (found < y[-1])]
    if np.diff(inside).min(initial=1.0) > 2e-3:  # two crossings in one step of the grid cannot be seen on it
        np.testing.assert_allclose(inside, (y[changed] + y[changed + 1]) / 2, atol=1e-3)


# The population.


@every_noise
@every_case
def test_population_is_the_distribution_cut_into_cells(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=6, **case)
    reference = Reference(distribution, case)
    x, mass = distribution.population(64)
    assert (x.dtype, mass.dtype) == (torch.float64, torch.float64)
    assert (x.shape, mass.shape) == ((len(x), 2), (len(x), distribution.classes))
    assert mass.min() >= 0
    np.testing.assert_allclose(mass.sum(0).numpy(), reference.priors @ reference.channel, rtol=1e-12)
    values, counts = x[:, 0].unique(return_counts=True)
    torch.testing.assert_close(values, torch.linspace(0, 1, 6, dtype=torch.float64), rtol=0, atol=1e-12)
    cells = len(x) // 6
    assert set(counts.tolist()) == {cells}
    assert 64 <= cells <= 64 + 4 * distribution.classes
    offsets = (x[:, 1] - distribution.curve(x[:, 0]))[:cells].numpy()
    cumulative = 6 * mass[:cells].cumsum(0).numpy()[:-1]
    exact = reference.below((offsets[1:] + offsets[:-1]) / 2)  # at edges midway between centres: right within a cell
    assert (np.abs(cumulative - exact) <= np.diff(offsets).max() * reference.joint(np.linspace(-2, 2, 999)).max()).all()


@every_noise
@every_case
def test_population_integrates_the_bayes_rule_and_nothing_beats_it(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=5, **case)
    for resolution in (1, 7, 512):
        x, mass = distribution.population(resolution)
        reached = mass.gather(1, distribution.bayes_rule(x)[:, None]).sum().item()
        assert reached == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)
        assert mass.max(1).values.sum().item() <= reached + 1e-12


def threshold_accuracy(reference: Reference, upper: int, lower: int, offset: Any) -> Any:
    """Return the accuracy of the rule that decides ``upper`` above the curve plus an offset, and ``lower`` below."""
    above = reference.below(np.array([np.inf])) - reference.below(offset)
    return above[..., upper] + reference.below(offset)[..., lower]


@every_noise
@every_case
def test_population_integrates_a_threshold_to_within_a_cell(noise: str, case: dict[str, Any]) -> None:
    distribution = make_distribution(noise=noise, samples_per_class=11, **case)
    for offset, resolution in ((-0.23, 16), (0.0123, 256), (0.31, 16), (0.31, 256)):
        x, mass = distribution.population(resolution)
        above = x[:, 1] > distribution.curve(x[:, 0]) + offset
        accuracy = torch.where(above, mass[:, 0], mass[:, 1]).sum().item()
        a_cell = 11 * mass[:, :2].max().item()  # the threshold cuts the same cell at each x
        [expected] = threshold_accuracy(Reference(distribution, case), 0, 1, np.array([offset]))
        assert abs(accuracy - expected) <= a_cell


@every_noise
def test_population_integrates_a_horizontal_line(noise: str) -> None:
    distribution = make_distribution(3, noise=noise)
    x, mass = distribution.population(512)
    accuracy = torch.where(x[:, 1] > 0.6, mass[:, 0], mass[:, 2]).sum().item()
    _, curve = slides_arrays()
    expected = threshold_accuracy(Reference(distribution, {}), 0, 2, 0.6 - curve).mean()
    assert accuracy == pytest.approx(expected, abs=1e-4)


@every_noise
def test_population_agrees_with_simulation(noise: str) -> None:
    distribution = make_distribution(4, noise=noise)

    def wavy(x: torch.Tensor) -> torch.Tensor:
        return distribution.bayes_rule(x + 0.08 * torch.sin(9 * x[..., :1]))

    samples, target = distribution.sample([generator(3)] * 500)
    x, mass = distribution.population(512)
    simulated = (wavy(samples) == target).double().mean().item()
    exact = mass.gather(1, wavy(x)[:, None]).sum().item()
    assert abs(simulated - exact) < 4 * (0.25 / target.numel()) ** 0.5


@pytest.mark.parametrize("samples", [65, 1000])
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


# Bad arguments.

WRONG: dict[str, tuple[list[Any], list[str]]] = {  # by argument: values that are refused, and parts of the rule
    "classes": ([1, 2.5], ["at least 2"]),
    "samples_per_class": ([1, 80.0, None], ["from 2 to 1000000"]),
    "noise": (["cauchy"], ["uniform", "gaussian"]),
    "half_width": ([0, -0.2, math.inf, "wide"], ["above 0", "below 1e+06"]),
    "spacing": ([-0.1, math.nan], ["at least 0", "below 1e+06"]),
    "label_order": ([[0, 0], [1, 2], [0], [], [0.0, 1.0], [False, True], "01", 0], ["permutation of 0, ..., 1"]),
    "priors": ([[0.5, 0.6], [1.0, 0.0], [1.0], "half", [math.nan, 1]], ["2 numbers above 0", "sum to 1"]),
    "flip": ([0.5, -0.1, [0.1], [0.1, 0.6], None, True], ["at least 0 and below 0.5", "list of 2"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_named_with_its_value_and_the_rule(name: str) -> None:
    values, words = WRONG[name]
    for value in values:
        with pytest.raises(SettingsError) as caught:
            make_distribution(**{name: value})
        [problem] = caught.value.problems
        assert problem.name == name
        assert problem.value is value
        assert all(word in problem.rule for word in words)


def test_all_wrong_arguments_are_named_at_once() -> None:
    wrong = {name: values[0] for name, (values, _) in WRONG.items() if name != "classes"}
    with pytest.raises(SettingsError) as caught:
        make_distribution(**wrong)
    assert [problem.name for problem in caught.value.problems] == list(wrong)
