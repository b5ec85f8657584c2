import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats

from src.statistics.anytime import sign_e_value, t_confidence_sequence, t_e_value
from src.statistics.paired import anytime_equivalence_test, compare_collapse, compare_learned

LOOKS = range(5, 101, 5)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (0, 5), (3, 4), (9, 1)])
def test_sign_e_value_is_the_integral_over_jeffreys_prior(wins: int, losses: int):
    def likelihood(angle: float) -> float:  # Jeffreys' prior is uniform in the angle, with p = sin^2
        return math.sin(angle) ** (2 * wins) * math.cos(angle) ** (2 * losses) / (math.pi / 2)

    expected = integrate.quad(likelihood, 0, math.pi / 2)[0] * 2 ** (wins + losses)
    assert sign_e_value(wins, losses) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "mean"), [(2, 0.5), (8, 0.0), (20, 0.8), (50, -0.3)])
def test_t_e_value_is_the_integral_over_the_effect_size(n: int, mean: float):
    values = np.random.default_rng(n).normal(mean, 1, n)
    t = stats.ttest_1samp(values, 0).statistic

    def density(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect))

    expected = integrate.quad(density, -6, 6, points=[0.0, t / math.sqrt(n)])[0] / stats.t.pdf(t, n - 1)
    assert t_e_value(values) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("n", "confidence"), [(5, 0.9), (20, 0.95), (300, 0.95)])
def test_ends_of_the_sequence_have_the_e_value_that_excludes(n: int, confidence: float):
    values = np.random.default_rng(n).normal(3, 2, n)
    for end in t_confidence_sequence(values, confidence):
        assert t_e_value(values - end) == pytest.approx(1 / (1 - confidence))


def test_too_few_or_equal_values_exclude_nothing():
    assert all(map(math.isnan, t_confidence_sequence([1.0, 2.0])))
    assert all(map(math.isnan, t_confidence_sequence([0.5] * 9)))
    assert t_e_value([]) == t_e_value([0.3]) == t_e_value([0.0, 0.0]) == 1
    assert math.isnan(t_e_value([0.3, 0.3]))


def t_found(values: np.ndarray) -> bool:
    return t_e_value(values) >= 20


def t_missed(values: np.ndarray) -> bool:
    low, high = t_confidence_sequence(values)
    return low > 0 or high < 0


def equivalence_found(values: np.ndarray) -> bool:
    return anytime_equivalence_test(values + 0.5, 0.5) <= 0.05


def collapse_found(values: np.ndarray) -> bool:
    return sign_e_value(int((values > 0.8).sum()), int((values < -0.8).sum())) >= 20


@pytest.mark.parametrize("found", [t_found, t_missed, equivalence_found, collapse_found])
def test_a_look_after_every_five_seeds_rarely_finds_what_is_not_there(found: Callable[[np.ndarray], bool]):
    studies = np.random.default_rng(11).normal(0, 1, (120, 100))
    errors = sum(any(found(study[:n]) for n in LOOKS) for study in studies)
    assert stats.binom.sf(errors - 1, 120, 0.05) > 0.001


def test_p_values_and_intervals_of_a_comparison_are_these():
    values = np.random.default_rng(3).normal(0.5, 1, 30)
    learned = compare_learned(values, np.zeros(30), anytime=True)
    assert learned.p == pytest.approx(min(1, 1 / t_e_value(values)))
    assert (learned.low, learned.high) == pytest.approx(t_confidence_sequence(values))
    collapse = compare_collapse(values > 0.8, values < -0.8, anytime=True)
    wins, losses = int((values > 0.8).sum()), int((values < -0.8).sum())
    assert collapse.p == pytest.approx(min(1, 1 / sign_e_value(wins, losses)))
    assert collapse.low < (wins - losses) / 30 < collapse.high


def test_what_is_there_is_found():
    values = np.random.default_rng(2).normal(1, 1, 100)
    assert t_found(values[:40])
    assert equivalence_found(np.random.default_rng(2).normal(-0.5, 0.5, 60))
    assert collapse_found(np.random.default_rng(2).normal(0.7, 1, 100))
