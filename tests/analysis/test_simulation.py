"""Simulated studies with a known truth: coverage, error rates and power."""

import math
from itertools import chain, combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri

from src.statistics.components import accuracy_variance, variance_components
from src.statistics.intervals import wilson_interval
from src.statistics.paired import compare_learned
from src.statistics.power import paired_power, seeds_needed

pytestmark = pytest.mark.integration
STUDIES = 1_000


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("law", ["normal", "exponential", "t with three degrees of freedom"])
def test_interval_where_both_learned_covers_the_true_difference(law: str, n: int):
    generator = np.random.default_rng(n)
    standard = {
        "normal": generator.normal,
        "exponential": lambda size: generator.exponential(size=size) - 1,
        "t with three degrees of freedom": lambda size: generator.standard_t(3, size),
    }[law](size=(STUDIES, n))
    found = [compare_learned(0.01 + 0.03 * row, np.zeros(n)) for row in standard]
    covers = np.mean([each.low <= 0.01 <= each.high for each in found])
    assert covers >= 0.945 - 2.6 * math.sqrt(0.95 * 0.05 / STUDIES)


def wilson_coverage(differences: np.ndarray, true: float) -> float:
    """Return how often the interval of P(A > B), ties one half, covers the true one: differences (studies, n)."""
    n = differences.shape[1]
    table = np.array([wilson_interval(halves / 2, n) for halves in range(2 * n + 1)])
    halves = 2 * (differences > 0).sum(axis=1) + (differences == 0).sum(axis=1)
    low, high = table[halves].T
    return float(((low <= true) & (true <= high)).mean())


@pytest.mark.parametrize("n", [10, 20, 30])
def test_wilson_interval_covers_on_average_over_the_true_superiority(n: int):
    # A count has few values, so at a single probability the coverage may dip: to 0.92 at n = 20, to 0.90 at n = 10.
    every = np.linspace(0.5, 0.97, 48)
    generator = np.random.default_rng(n)
    coverage = [wilson_coverage(generator.normal(ndtri(true), 1, (500, n)), true) for true in every]
    assert np.mean(coverage) >= 0.94
    assert np.min(coverage) >= 0.87


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_wilson_interval_covers_with_ties(shift: float):
    # Differences of accuracies on 32 test points: multiples of 1/32, often 0.
    sd, step, n = 0.04, 1 / 32, 20
    above, below = 1 - ndtr((step / 2 - shift) / sd), ndtr((-step / 2 - shift) / sd)
    true = above + (1 - above - below) / 2
    raw = np.random.default_rng(round(100 * shift)).normal(shift, sd, (STUDIES, n))
    assert wilson_coverage(np.round(raw / step) * step, true) >= 0.95


def p_values(differences: np.ndarray) -> np.ndarray:
    """Return the p value of the t test of each row, many times faster than one call per row."""
    return np.atleast_1d(stats.ttest_1samp(differences, 0, axis=1).pvalue)


def simulated_power(difference: float, sd: float, n: int) -> float:
    differences = np.random.default_rng([n, round(1e4 * difference)]).normal(difference, sd, (STUDIES, n))
    return float(np.mean(p_values(differences) <= 0.05))


@pytest.mark.parametrize(("n", "difference"), [(3, 0.05), (10, 0.02), (20, 0.01), (30, 0.02)])
def test_reported_power_is_the_simulated_power(n: int, difference: float):
    assert paired_power(difference, 0.03, n) == pytest.approx(simulated_power(difference, 0.03, n), abs=0.04)


@pytest.mark.parametrize("power", [0.80, 0.95])
def test_reported_number_of_seeds_has_the_simulated_power(power: float):
    n = seeds_needed(0.02, 0.03, power)
    assert n is not None
    assert simulated_power(0.02, 0.03, n) >= power - 0.03
    assert simulated_power(0.02, 0.03, n - 5) < power


TRUE = {
    ("data",): 4.0,
    ("init",): 1.0,
    ("shuffle",): 0.0,
    ("data", "init"): 2.0,
    ("data", "shuffle"): 0.0,
    ("init", "shuffle"): 0.5,
    ("data", "init", "shuffle"): 1.5,
}


def crossed_study(shape: tuple[int, ...], generator: np.random.Generator, normal: bool) -> np.ndarray:
    """Return one study whose effects have the variances of ``TRUE``; uniform ones where they are not normal."""
    factors = ("data", "init", "shuffle")
    total = np.zeros(shape)
    for effect, variance in TRUE.items():
        size = tuple(levels if name in effect else 1 for name, levels in zip(factors, shape, strict=True))
        draws = generator.normal(size=size) if normal else generator.uniform(-math.sqrt(3), math.sqrt(3), size)
        total += math.sqrt(variance) * draws
    return total


@pytest.mark.parametrize(("shape", "normal"), [((12, 6, 3), True), ((4, 3, 2), False)])
def test_variance_components_are_unbiased(shape: tuple[int, ...], normal: bool):
    generator = np.random.default_rng(12)
    factors = ("data", "init", "shuffle")
    studies = [variance_components(crossed_study(shape, generator, normal), factors).estimates for _ in range(1_000)]
    for effect in chain.from_iterable(combinations(factors, size) for size in (1, 2, 3)):
        estimates = np.array([study["residual" if len(effect) == 3 else ":".join(effect)] for study in studies])
        error = estimates.std(ddof=1) / math.sqrt(len(estimates))
        assert abs(estimates.mean() - TRUE[effect]) < 3.5 * error, effect
        assert error < 0.2  # or the line above would show nothing


def test_spread_of_few_runs_adds_up_on_average():
    generator = np.random.default_rng(20)
    population = generator.normal(0.7, 0.08, (2_000, 20)).clip(0, 1)
    test = generator.binomial(32, population) / 32
    rest = np.array([accuracy_variance(*each, 32).rest for each in zip(test, population, strict=True)])
    assert abs(rest.mean()) < 3 * rest.std(ddof=1) / math.sqrt(len(rest))


def test_spread_of_a_test_set_that_is_part_of_a_grid_nearly_adds_up():
    # As in the data: one point of each of two classes at each of 80 x; 32 of the 160 are the test set. A run's rule is
    # off the middle by its own line over x, which makes it right more often for one class and less for the other.
    generator, runs, count = np.random.default_rng(160), 40_000, 32
    line = generator.normal(0, 0.15, (2, runs, 1))
    off = line[0] + line[1] * np.linspace(-1, 1, 80)
    right = np.concatenate([0.75 + off, 0.75 - off], axis=1).clip(0.5, 1)  # (runs, 160)
    chosen = generator.random(right.shape).argpartition(count, axis=1)[:, :count]
    test = (generator.random((runs, count)) < np.take_along_axis(right, chosen, axis=1)).mean(axis=1)
    found = accuracy_variance(test, right.mean(axis=1), count)
    excess = (count - 1) / (160 - 1) * right.var(axis=1).mean() / count
    assert found.rest == pytest.approx(-excess, abs=4 * found.test * math.sqrt(2 / runs))
    assert 0.01 < excess / found.binomial < 0.06
