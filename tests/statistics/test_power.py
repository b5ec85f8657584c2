import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaincinv, ndtr, stdtrit
from statsmodels.stats.power import TTestPower

from src.statistics.power import paired_power, seeds_needed


@pytest.mark.parametrize(
    ("n", "shift"), [(2, 0.0), (3, 1.0), (20, 2.8), (20, 15.0), (1000, 2.8), (10**6, 38.0), (2, 1e4), (10**6, 1e4)]
)
def test_power_is_the_integral_of_the_noncentral_t(n: int, shift: float):
    # T = (Z + shift) / s with s^2 ~ chi^2 / (n - 1), averaged over quantiles of s
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    s = np.sqrt(2 * gammaincinv((n - 1) / 2, quantiles) / (n - 1))
    critical = stdtrit(n - 1, 0.975)
    expected = (ndtr(shift - critical * s) + ndtr(-shift - critical * s)).mean()
    assert paired_power(shift / math.sqrt(n), 1, n) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(("effect", "power"), [(0.05, 0.8), (0.2, 0.95), (0.5, 0.8), (1.0, 0.95)])
def test_seeds_needed_are_those_of_statsmodels(effect: float, power: float):
    exact = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=power)
    assert seeds_needed(effect, 1, power) == math.ceil(exact)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.floats(0.02, 5), st.floats(0.06, 0.99), st.sampled_from([0.05, 0.01]))
def test_seeds_needed_are_the_fewest(effect: float, power: float, alpha: float):
    n = seeds_needed(effect, 1, power, alpha)
    assert n is not None
    assert paired_power(effect, 1, n, alpha) >= power
    assert n == 2 or paired_power(effect, 1, n - 1, alpha) < power
    assert n == seeds_needed(-effect, 1, power, alpha)


def test_tiny_differences_need_many_seeds_and_little_time():
    # n = (z + z)^2 / effect^2 is 7.84888 / effect^2 for large n
    assert seeds_needed(1e-6, 1, 0.8) == pytest.approx(7.84888e12, rel=1e-5)
    assert seeds_needed(1e-300, 1, 0.8) is None


def test_no_difference_needs_no_number():
    assert seeds_needed(0, 1, 0.8) is None
    assert seeds_needed(0, 0, 0.8) is None
    assert seeds_needed(0.1, math.nan, 0.8) is None
    assert seeds_needed(math.nan, 0.1, 0.8) is None


def test_without_spread_two_seeds_do():
    assert seeds_needed(0.1, 0, 0.95) == 2
    assert seeds_needed(1e300, 1e-300, 0.95) == 2
    assert paired_power(0.1, 0, 2) == 1
    assert paired_power(0, 0, 2) == 0
    assert paired_power(0, 1, 20, alpha=0.03) == pytest.approx(0.03)  # the error rate


def test_power_is_undefined_without_a_test():
    undefined = [paired_power(0.1, 1, 1), paired_power(0.1, math.nan, 20), paired_power(math.nan, 0.1, 20)]
    assert all(map(math.isnan, undefined))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: paired_power(0.1, -1, 20), "sd"),
        (lambda: paired_power(0.1, 1, 20, alpha=1), "alpha"),
        (lambda: seeds_needed(0.1, 1, 1), "power"),
        (lambda: seeds_needed(0.1, 1, 80), "power"),
    ],
)
def test_bad_arguments_are_named(call, name: str):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be a number"):
        call()
