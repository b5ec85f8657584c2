import math

import numpy as np
import pytest
from scipy import optimize, stats

from src.statistics.intervals import (
    clopper_pearson_interval,
    difference_interval,
    interquartile_mean_interval,
    mean_interval,
    skewness,
    wilson_interval,
)


@pytest.mark.parametrize(("n", "confidence"), [(2, 0.95), (3, 0.5), (20, 0.95), (1000, 0.99)])
def test_mean_interval_is_that_of_the_one_sample_t_test(n: int, confidence: float):
    values = np.random.default_rng(n).normal(0.7, 0.05, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert mean_interval(values, confidence) == pytest.approx((values.mean(), expected.low, expected.high), rel=1e-12)


def test_mean_interval_worked_by_hand():
    # 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.302653
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (math.nan, math.nan, math.nan)),
        ([0.75], (0.75, math.nan, math.nan)),
        ([0.75, 0.75, 0.75], (0.75, 0.75, 0.75)),
    ],
)
def test_mean_interval_of_few_or_equal_values(values: list[float], expected: tuple[float, ...]):
    assert mean_interval(values) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1, float("nan")])
def test_confidence_out_of_range_is_refused(confidence: float):
    for interval in (lambda: mean_interval([1, 2], confidence), lambda: wilson_interval(1, 2, confidence)):
        with pytest.raises(ValueError, match="Expected `confidence`"):
            interval()


@pytest.mark.parametrize(("n", "confidence"), [(1, 0.95), (2, 0.9), (20, 0.95), (1000, 0.99)])
def test_wilson_ends_solve_the_score_equation(n: int, confidence: float):
    # The ends are the p with (share - p)^2 = z^2 p (1 - p) / n, whatever formula finds them.
    z = stats.norm.ppf((1 + confidence) / 2)
    for successes in np.linspace(0, n, 9).round(1):
        low, high = wilson_interval(successes, n, confidence)
        assert 0 <= low < high <= 1
        for p in (low, high):
            assert (successes / n - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / n, abs=1e-12)


def test_wilson_takes_half_successes():
    lows, highs = zip(*(wilson_interval(halves / 2, 20) for halves in range(41)), strict=True)
    assert all(np.diff(lows) > 0)
    assert all(np.diff(highs) > 0)
    assert wilson_interval(10, 20) == pytest.approx((0.299298, 0.700702), abs=1e-6)  # 0.5 -+ z / 2 / sqrt(20 + z^2)


@pytest.mark.parametrize("successes", [-0.5, 3.5, math.nan])
def test_wilson_refuses_an_impossible_count(successes: float):
    with pytest.raises(ValueError, match=r"`successes` to be a number in \[0, 3\]"):
        wilson_interval(successes, 3)


def test_interquartile_mean_ignores_the_outer_quarters():
    values = np.sort(np.random.default_rng(1).normal(size=40))
    mean, low, high = interquartile_mean_interval(values)
    assert mean == pytest.approx(values[10:30].mean())
    assert interquartile_mean_interval([*values[:-1], 1e6]) == pytest.approx((mean, low, high), abs=0.2)
    assert (mean, low, high) == interquartile_mean_interval(values) != interquartile_mean_interval(values, seed=1)
    expected = stats.bootstrap(
        (values,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), n_resamples=2_000, method="percentile", rng=5
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.05)


@pytest.mark.parametrize("values", [[], [1.0], [0.5] * 30, list(range(9))])
def test_few_or_equal_values_have_no_bootstrap_interval(values: list[float]):
    mean, low, high = interquartile_mean_interval(values)
    assert math.isnan(mean) == (not values)
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (3, 20), (20, 20), (1, 1), (499, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_clopper_pearson_interval_is_that_of_scipy(successes: int, n: int, confidence: float):
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    assert clopper_pearson_interval(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clopper_pearson_interval_of_nothing_is_unknown():
    assert all(map(math.isnan, clopper_pearson_interval(0, 0)))


@pytest.mark.parametrize(("folds", "repeats"), [(2, 5), (5, 1), (10, 10)])
def test_the_interval_of_folds_is_that_of_nadeau_and_bengio(folds: int, repeats: int):
    n = folds * repeats
    values = np.random.default_rng(n).normal(0.8, 0.05, n)
    variance = sum((value - sum(values) / n) ** 2 for value in values) / (n - 1)
    ratio = (100 / folds) / (100 - 100 / folds)  # of test to training samples
    expected = stats.t.interval(0.9, n - 1, values.mean(), math.sqrt((1 / n + ratio) * variance))
    assert mean_interval(values, 0.9, 1 / (folds - 1))[1:] == pytest.approx(expected, rel=1e-12)


def interval_by_root_finding(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the hull of the t interval and of the means for which Hall's statistic is Student's quantile."""
    n, mean, error = len(values), values.mean(), stats.sem(values)
    g = stats.skew(values, bias=False)

    def statistic(true: float) -> float:
        t = (mean - true) / error
        return t + g * t**2 / (3 * n**0.5) + g**2 * t**3 / (27 * n) + g / (6 * n**0.5)

    quantiles = stats.t.ppf([(1 + confidence) / 2, (1 - confidence) / 2], n - 1)
    hall = [
        optimize.brentq(lambda true, quantile=quantile: statistic(true) - quantile, mean - 1e3, mean + 1e3, xtol=1e-13)
        for quantile in quantiles
    ]
    low, high = stats.t.interval(confidence, n - 1, mean, error)
    return min(low, hall[0]), max(high, hall[1])


@pytest.mark.parametrize("n", [8, 10, 50])
@pytest.mark.parametrize("sign", [1, -1])
def test_difference_interval_spans_those_of_student_and_hall(n: int, sign: int):
    values = sign * np.random.default_rng(n).exponential(size=n)
    found = difference_interval(values, 0.9)
    assert found == pytest.approx(interval_by_root_finding(values, 0.9), abs=1e-9)
    student = mean_interval(values, 0.9)[1:]
    assert found != pytest.approx(student, rel=0.01)
    assert difference_interval(values[:7], 0.9) == pytest.approx(interval_by_root_finding(values[:7], 0.95), abs=1e-9)


def test_difference_interval_needs_three_different_values():
    assert all(map(math.isnan, (*difference_interval([1.0, 2.0]), *difference_interval([1.0, 1.0, 1.0]))))


@pytest.mark.parametrize("n", [3, 8, 20])
def test_skewness_is_that_of_scipy(n: int):
    values = np.random.default_rng(n).exponential(size=n)
    assert skewness(values) == pytest.approx(stats.skew(values, bias=False), rel=1e-9)
