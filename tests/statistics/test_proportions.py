import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from src.statistics.proportions import mcnemar_test, paired_difference_interval


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 3), (1, 7), (6, 0), (5, 5), (0, 1)])
def test_mcnemar_is_that_of_statsmodels(only_a: int, only_b: int):
    expected = mcnemar([[4, only_a], [only_b, 9]], exact=True).pvalue
    assert mcnemar_test(only_a, only_b) == pytest.approx(expected, abs=1e-12)


def test_there_is_nothing_to_test_without_discordant_pairs():
    assert math.isnan(mcnemar_test(0, 0))
    assert all(map(math.isnan, paired_difference_interval(0, 0, 0)))


def test_interval_of_a_published_example():
    # Airway hyper-responsiveness before and after stem cell transplantation, 1 and 7 of 21: Fagerland, Lydersen and
    # Laake 2014 give Tango's interval (-0.517, -0.026).
    assert paired_difference_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(0, 3, 20), (2, 9, 40), (0, 0, 20), (5, 0, 5)])
def test_ends_solve_the_score_equation_maximised_on_a_grid(only_a: int, only_b: int, n: int):
    z = stats.norm.isf(0.025)
    same = n - only_a - only_b
    for end in paired_difference_interval(only_a, only_b, n):
        if abs(end) == 1:
            continue
        q = np.linspace(max(0, -end), (1 - end) / 2, 200_001)  # P(B alone); P(A alone) is q + end
        with np.errstate(divide="ignore", invalid="ignore"):
            counts = ((only_a, q + end), (only_b, q), (same, 1 - 2 * q - end))
            likelihood = sum(count * np.log(p) if count else 0 * p for count, p in counts)
        best = q[np.nanargmax(likelihood)]
        score = (only_a - only_b - n * end) / math.sqrt(n * (2 * best + end * (1 - end)))
        assert abs(score) == pytest.approx(z, rel=2e-3)


def test_swapping_mirrors_the_interval():
    low, high = paired_difference_interval(2, 5, 30)
    assert paired_difference_interval(5, 2, 30) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("p_a", "p_b", "both"), [(0.05, 0.05, 0.0), (0.15, 0.0, 0.0), (0.3, 0.15, 0.1)])
def test_interval_covers_and_the_test_holds_its_level(p_a: float, p_b: float, both: float):
    n, generator = 20, np.random.default_rng(3)
    counts = generator.multinomial(n, [p_a - both, p_b - both, 1 - p_a - p_b + both], 2_000)
    found = {(a, b): paired_difference_interval(a, b, n) for a, b in {tuple(map(int, row[:2])) for row in counts}}
    covered = np.mean([low <= p_a - p_b <= high for low, high in (found[int(a), int(b)] for a, b, _ in counts)])
    assert covered >= 0.93
    if p_a == p_b:
        rejected = np.mean([mcnemar_test(int(a), int(b)) <= 0.05 for a, b, _ in counts])
        assert rejected <= 0.05


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="Expected `n` to be at least 5"):
        paired_difference_interval(2, 3, 4)
