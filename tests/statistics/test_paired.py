import math
import time
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from src.statistics.intervals import mean_interval
from src.statistics.paired import Comparison, compare, holm, mean_over_conditions, t_test, verdict, wilson
from src.statistics.resampling import bca_interval, sign_flip

few = settings(max_examples=40, deadline=None, derandomize=True)
accuracies = st.integers(0, 64).map(lambda correct: correct / 64)
p_values = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12)
UNDEFINED_WITHOUT_SPREAD = ("low", "high", "bca_low", "bca_high")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 16))
    return draw(arrays(float, n, elements=accuracies)), draw(arrays(float, n, elements=accuracies))


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return paired accuracies that share what their seeds share."""
    generator = np.random.default_rng([seed, n])
    common = generator.normal(0.7, 0.05, n)
    return common + generator.normal(0.01, 0.02, n), common + generator.normal(0, 0.02, n)


@pytest.mark.parametrize("n", [2, 3, 10, 20, 200])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_interval_and_p_value_are_scipys_paired_t_test(n: int, alpha: float):
    a, b = sample(n)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(1 - alpha)
    result = compare(a, b, alpha=alpha)
    assert result.n == n
    assert (result.mean_a, result.mean_b) == (a.mean(), b.mean())
    assert result.difference == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert result.p_t == pytest.approx(expected.pvalue, rel=1e-8)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=1e-8)
    assert (result.low, result.high) == pytest.approx(mean_interval(a - b, 1 - alpha)[1:], rel=1e-8)
    assert result.d_z == pytest.approx(expected.statistic / math.sqrt(n), rel=1e-8)


def test_comparison_worked_by_hand():
    # differences 0.01, 0.02, 0.03: mean 0.02, sd 0.01, t = 2 sqrt(3) on 2 degrees of freedom, p = 0.0741799;
    # two of the eight choices of signs are as far from 0; Wilson of 3 out of 3 is [3 / (3 + 1.959964^2), 1]
    result = compare([0.71, 0.73, 0.75], [0.70, 0.71, 0.72])
    assert result.difference == pytest.approx(0.02)
    assert result.d_z == pytest.approx(2)
    assert result.p_t == pytest.approx(0.0741799, abs=1e-7)
    assert (result.p_permutation, result.exact) == (0.25, True)
    assert (result.low, result.high) == pytest.approx((0.02 - 0.0248414, 0.02 + 0.0248414), abs=1e-7)
    assert (result.superiority, result.superiority_high) == (1, 1)
    assert result.superiority_low == pytest.approx(0.4385030, abs=1e-7)
    assert result.verdict == "not significant"


@pytest.mark.parametrize("n", [2, 5, 9, 13])
def test_few_pairs_go_through_every_choice_of_signs(n: int):
    differences = np.round(np.random.default_rng(n).normal(0.01, 0.02, n) * 32) / 32
    means = np.array(list(product([1, -1], repeat=n))) @ differences
    expected = min(1, 2 * min((means >= differences.sum()).mean(), (means <= differences.sum()).mean()))
    assert sign_flip(differences) == (pytest.approx(expected, abs=1e-12), True)


def test_float_noise_breaks_no_tie_of_the_sign_flip_test():
    differences = np.array([0.1, 0.2, -0.3, 0.1, -0.1])  # the sum is 0 up to rounding
    assert sign_flip(differences)[0] == 1
    assert compare(0.1 + np.array([0.2, 0.1, 0.3]), [0.3, 0.2, 0.4]).superiority == 0.5


def test_many_pairs_draw_signs_from_the_seed_alone():
    a, b = sample(20)
    result = compare(a, b, seed=3)
    assert not result.exact
    assert result == compare(a, b, seed=3)
    assert result.p_permutation != compare(a, b, seed=4).p_permutation
    assert result.p_permutation == pytest.approx(result.p_t, abs=0.01)
    state = np.random.get_state()[1].copy()
    compare(a, b)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_bootstrap_interval_is_scipys():
    a, b = sample(20)
    generator = np.random.default_rng(7)
    expected = stats.bootstrap((np.round(a - b, 12),), np.mean, method="BCa", rng=generator).confidence_interval
    result = compare(a, b, seed=7)
    assert (result.bca_low, result.bca_high) == (expected.low, expected.high)
    assert bca_interval([0.01, 0.02, 0.04], 0.9)[0] > bca_interval([0.01, 0.02, 0.04], 0.99)[0]


def test_no_pair_leaves_all_undefined():
    result = compare([], [])
    assert (result.n, result.verdict) == (0, "not significant")
    numbers = [value for name, value in asdict(result).items() if name not in ("n", "exact", "verdict")]
    assert all(map(math.isnan, numbers))


def test_one_pair_has_a_difference_and_no_test():
    result = compare([0.75], [0.5])
    assert (result.n, result.mean_a, result.mean_b, result.difference) == (1, 0.75, 0.5, 0.25)
    assert (result.superiority, result.verdict) == (1, "not significant")
    for name in (*UNDEFINED_WITHOUT_SPREAD, "p_t", "p_permutation", "d_z"):
        assert math.isnan(getattr(result, name)), name


@pytest.mark.parametrize("n", [2, 3, 20])
def test_equal_conditions_are_no_evidence(n: int):
    a, _ = sample(n)
    result = compare(a, a)
    assert (result.difference, result.d_z, result.superiority) == (0, 0, 0.5)
    assert (result.p_t, result.p_permutation, result.verdict) == (1, 1, "not significant")
    assert all(math.isnan(getattr(result, name)) for name in UNDEFINED_WITHOUT_SPREAD)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_constant_difference_has_no_known_error(n: int):
    base = np.linspace(0.4, 0.7, n)  # floats whose differences from the next line are not all the same
    result = compare(base + 0.03, base)
    assert result.difference == pytest.approx(0.03)
    assert all(math.isnan(getattr(result, name)) for name in (*UNDEFINED_WITHOUT_SPREAD, "p_t", "d_z"))
    assert result.p_permutation == 2 / 2**n


def test_pairs_with_a_missing_value_do_not_count():
    a, b = [0.7, math.nan, 0.8, 0.9, 0.75], [0.6, 0.7, math.inf, 0.7, 0.71]
    assert compare(a, b) == compare([0.7, 0.9, 0.75], [0.6, 0.7, 0.71])


@few
@given(pairs())
def test_swapping_the_two_flips_the_signs(values: tuple[np.ndarray, np.ndarray]):
    forth, back = compare(*values), compare(*values[::-1])
    swapped = {"not significant": "not significant", "better": "worse", "worse": "better"}
    expected = Comparison(
        n=back.n,
        mean_a=back.mean_b,
        mean_b=back.mean_a,
        difference=-back.difference,
        low=-back.high,
        high=-back.low,
        bca_low=-back.bca_high,
        bca_high=-back.bca_low,
        p_t=back.p_t,
        p_permutation=back.p_permutation,
        exact=back.exact,
        d_z=-back.d_z,
        superiority=1 - back.superiority,
        superiority_low=1 - back.superiority_high,
        superiority_high=1 - back.superiority_low,
        verdict=swapped.get(back.verdict, back.verdict),
    )
    for name, value in asdict(expected).items():
        actual = getattr(forth, name)
        if isinstance(value, float):
            assert actual == pytest.approx(value, abs=1e-10, nan_ok=True), name
        else:
            assert actual == value, name


@few
@given(pairs())
def test_results_are_ordered_and_in_range(values: tuple[np.ndarray, np.ndarray]):
    result = compare(*values)
    if not math.isnan(result.low):
        assert result.low < result.difference < result.high
        assert result.bca_low <= result.bca_high
    if result.n > 0:
        assert 0 <= result.superiority_low <= result.superiority <= result.superiority_high <= 1
    if result.n > 1:
        assert 0 < result.p_permutation <= 1
        assert math.isnan(result.p_t) or 0 <= result.p_t <= 1
        assert math.isnan(result.p_t) or (result.p_t < 0.05) == (result.low > 0 or result.high < 0)


def test_thirty_comparisons_are_quick():
    begin = time.perf_counter()
    for seed in range(30):
        compare(*sample(20, seed), seed=seed)
    assert time.perf_counter() - begin < 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"a": [1, 2], "b": [1]}, r"vectors of one length, got \(2,\) and \(1,\)"),
        ({"a": [[1]], "b": [[1]]}, "vectors of one length"),
        ({"a": [1], "b": [1], "alpha": 0}, "`alpha` to be a number in"),
        ({"a": [1], "b": [1], "alpha": math.nan}, "`alpha` to be a number in"),
        ({"a": [1], "b": [1], "gamma": 0.5}, r"`gamma` to be a number in \(0.5, 1\), got 0.5"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, words: str):
    with pytest.raises(ValueError, match=words):
        compare(**arguments)


@pytest.mark.parametrize("n", [1, 2, 10, 20, 1000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_that_of_statsmodels(n: int, confidence: float):
    for successes in np.unique(np.linspace(0, n, 9).round()):
        expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
        assert wilson(successes, n, confidence) == pytest.approx(expected, abs=1e-12)


def test_wilson_takes_halves_between_its_neighbours():
    lows, highs = zip(*(wilson(halves / 2, 20) for halves in range(41)), strict=True)
    assert all(np.diff(lows) > 0)
    assert all(np.diff(highs) > 0)
    assert (lows[0], highs[-1]) == pytest.approx((0, 1), abs=1e-12)
    assert wilson(10, 20) == pytest.approx((0.299298, 0.700702), abs=1e-6)  # 0.5 -+ z / 2 / sqrt(20 + z^2)


@pytest.mark.parametrize(("successes", "n"), [(-0.5, 3), (3.5, 3), (math.nan, 3)])
def test_wilson_names_an_impossible_count(successes: float, n: int):
    with pytest.raises(ValueError, match="`successes` to be a number in"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.50, 0.90, "not significant"),
        (0.51, 0.75, "significant but not meaningful"),
        (0.51, 0.76, "better"),
        (0.80, 1.00, "better"),
        (0.10, 0.50, "not significant"),
        (0.25, 0.49, "significant but not meaningful"),
        (0.24, 0.49, "worse"),
        (0.00, 1.00, "not significant"),
        (math.nan, math.nan, "not significant"),
    ],
)
def test_verdict_at_the_edges(low: float, high: float, expected: str):
    assert verdict(low, high, 0.75) == expected


def test_verdict_follows_from_the_pairs():
    win, tie, lose = [0.8], [0.7], [0.6]
    assert compare(win * 16 + tie * 4, tie * 20).verdict == "better"
    assert compare(lose * 16 + tie * 4, tie * 20).verdict == "worse"
    assert compare(win * 60 + lose * 40, tie * 100).verdict == "significant but not meaningful"
    assert compare(win * 60 + lose * 40, tie * 100, gamma=0.6).verdict == "better"
    assert compare(win * 60 + lose * 40, tie * 100, alpha=0.01).verdict == "not significant"


@pytest.mark.parametrize("m", [1, 2, 3, 8, 30])
def test_holm_is_that_of_statsmodels(m: int):
    values = np.random.default_rng(m).beta(0.3, 1, m).round(2)  # with ties
    expected = multipletests(values, method="holm")[1]
    np.testing.assert_allclose(holm(values), expected, rtol=1e-12)
    np.testing.assert_allclose(holm([math.nan, *values, math.nan]), [math.nan, *expected, math.nan], rtol=1e-12)


@few
@given(p_values, st.randoms(use_true_random=False))
def test_holm_is_monotone_and_ignores_order(values: list[float], random):
    original = np.array(values)
    adjusted = holm(values)
    np.testing.assert_array_equal(original, np.array(values))
    tested = ~np.isnan(original)
    assert (adjusted[tested] >= original[tested]).all()
    assert (adjusted[tested] <= 1).all()
    assert (np.diff(adjusted[tested][np.argsort(original[tested])]) >= 0).all()
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(original[order]), adjusted[order])


def test_holm_worked_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04 -> 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([0.3]) == pytest.approx([0.3])
    assert holm([]).shape == (0,)


def test_t_test_has_no_p_value_without_spread():
    assert t_test([0.0, 0.0]) == 1
    assert all(map(math.isnan, (t_test([]), t_test([0.0]), t_test([0.1, 0.1]))))
    assert t_test([0.01, 0.03]) == pytest.approx(stats.ttest_1samp([0.01, 0.03], 0).pvalue)


def test_contrast_keeps_seeds_that_all_conditions_have():
    ce = np.array([[0.70, 0.72, math.nan, 0.75], [0.40, 0.50, 0.45, 0.47]])
    mse = np.array([[0.69, 0.70, 0.71, 0.70], [0.42, math.nan, 0.40, 0.44]])
    assert mean_over_conditions(ce - mse) == pytest.approx([-0.005, math.nan, math.nan, 0.04], nan_ok=True)
    contrast = compare(mean_over_conditions(ce), mean_over_conditions(mse))
    assert contrast.n == 2
    assert contrast.difference == pytest.approx(0.0175)
    assert mean_over_conditions(np.empty((2, 0))).shape == (0,)


@pytest.mark.parametrize("values", [[0.1, 0.2], np.empty((0, 3))])
def test_contrast_names_a_wrong_shape(values):
    with pytest.raises(ValueError, match=r"of shape \(K, n\)"):
        mean_over_conditions(values)
