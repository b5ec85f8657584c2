import math

import numpy as np
import pytest
from scipy import stats

from src.statistics.intervals import mean_interval


@pytest.mark.parametrize("n", [2, 3, 20, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_interval_is_that_of_the_one_sample_t_test(n: int, confidence: float):
    values = np.random.default_rng(n).normal(0.7, 0.05, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    mean, low, high = mean_interval(values, confidence)
    assert mean == pytest.approx(values.mean(), rel=1e-15)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_interval_worked_by_hand():
    # 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.302653
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.75, 0.75, 0.75]) == (0.75, 0.75, 0.75)


def test_one_value_has_no_interval_and_none_has_no_mean():
    mean, low, high = mean_interval([0.75])
    assert mean == 0.75
    assert math.isnan(low)
    assert math.isnan(high)
    assert all(map(math.isnan, mean_interval([])))


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1, float("nan")])
def test_confidence_out_of_range_is_named(confidence: float):
    with pytest.raises(ValueError, match="Expected `confidence`"):
        mean_interval([1, 2], confidence)
