import math

import numpy as np
import pytest

from src.statistics.betting import betting_interval, e_value
from tests.commands import parametrize


def capital(values: np.ndarray, mean: float, sign: int, confidence: float, anytime: bool) -> list[float]:
    """Return the capital after each value, one step at a time: equations 26 and 27 with stakes of at most 3/4."""
    n, wealth, path = len(values), 1.0, []
    estimates, alpha = [0.5], 1 - confidence
    variances = [0.25]
    for t, x in enumerate(values, start=1):
        rate = 2 * math.log(2 / alpha) / variances[-1] / (t * math.log(t + 1) if anytime else n)
        stake = min(math.sqrt(rate), 0.75 / (mean if sign > 0 else 1 - mean))
        wealth *= 1 + sign * stake * (x - mean)
        path.append(wealth)
        estimates.append((0.5 + sum(values[:t])) / (t + 1))
        squares = sum((values[i] - estimates[i + 1]) ** 2 for i in range(t))
        variances.append((0.25 + squares) / (t + 1))
    return path


@pytest.mark.parametrize("anytime", [False, True])
@parametrize("n, confidence", [(3, 0.95), (25, 0.95), (60, 0.8)], quick=1)
def test_interval_is_that_of_a_slow_search_over_a_grid(n: int, confidence: float, anytime: bool):
    values = np.random.default_rng(n).beta(8, 2, n)
    grid = np.linspace(0.0005, 0.9995, 1_000)
    kept = [
        mean
        for mean in grid
        if max(max(capital(values, mean, sign, confidence, anytime)) for sign in (1, -1)) < 2 / (1 - confidence)
    ]
    low, high = betting_interval(2 * values - 1, -1, 1, confidence, anytime=anytime)
    assert (low + 1) / 2 == pytest.approx(kept[0], abs=1.1e-3)
    assert (high + 1) / 2 == pytest.approx(kept[-1], abs=1.1e-3)
    evidence = sum(capital(values, 0.5, sign, 0.95, True)[-1] for sign in (1, -1)) / 2
    assert e_value(2 * values - 1, -1, 1, 0.0) == pytest.approx(evidence)


def mixture(generator: np.random.Generator, studies: int, n: int, p: float) -> tuple[np.ndarray, float]:
    """Return differences of 1 point with a spread of 1.2 points, and 25 points more where one loss collapses."""
    values = generator.normal(0.01, 0.012, (studies, n)) + 0.25 * (generator.random((studies, n)) < p)
    return values.clip(-1, 1), 0.01 + 0.25 * p


@pytest.mark.parametrize("p", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("n", [3, 10, 50])
def test_interval_covers_mixtures(n: int, p: float):
    values, true = mixture(np.random.default_rng([n, round(100 * p)]), 150, n, p)
    ends = np.array([betting_interval(each, -1, 1) for each in values])
    missed = int(((ends[:, 0] > true) | (ends[:, 1] < true)).sum())
    assert missed <= 15  # of 150; more than 15 has a probability below 1% at a rate of 5%


def test_confidence_sequence_holds_however_often_one_looks():
    generator, missed, evident = np.random.default_rng(7), 0, 0
    for _ in range(60):
        values = generator.choice([-0.5, 0.0, 0.5], 100)
        looks = range(5, 101, 5)
        ends = [betting_interval(values[:n], -1, 1, anytime=True) for n in looks]
        missed += any(low > 0 or high < 0 for low, high in ends)
        evident += any(e_value(values[:n], -1, 1, 0.0) >= 20 for n in looks)
    assert missed <= 8  # of 60; more has a probability below 1% at a rate of 5%
    assert evident <= 8


def test_evidence_against_no_difference_grows_with_a_difference():
    values = np.random.default_rng(1).normal(0.1, 0.1, 400).clip(-1, 1)
    few, many = e_value(values[:20], -1, 1, 0.0), e_value(values, -1, 1, 0.0)
    assert few < many
    assert many > 1_000
    low, high = betting_interval(values, -1, 1)
    assert 0 < low < 0.1 < high < 0.15


def test_no_values_exclude_nothing_and_values_outside_are_refused():
    assert betting_interval([], -1, 1) == (-1, 1)
    assert e_value([], -1, 1, 0) == 1
    with pytest.raises(ValueError, match=r"Expected `values` to be numbers in \[-1, 1\]"):
        betting_interval([0.5, 1.5], -1, 1)
