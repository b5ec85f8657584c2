import math
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from src.statistics.paired import Comparison, compare, holm, sign_flip_test, t_test, verdict

few = settings(max_examples=20, deadline=None, derandomize=True)
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


@pytest.mark.parametrize(("n", "alpha"), [(2, 0.05), (3, 0.01), (20, 0.05), (200, 0.01)])
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
    assert sign_flip_test(differences) == (pytest.approx(expected, abs=1e-12), True)


def test_float_noise_breaks_no_tie_of_the_sign_flip_test():
    differences = np.array([0.1, 0.2, -0.3, 0.1, -0.1])  # the sum is 0 up to rounding
    assert sign_flip_test(differences)[0] == 1
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


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pairs_leave_tests_undefined(n: int):
    result = compare([0.75][:n], [0.5][:n])
    assert (result.n, result.verdict) == (n, "not significant")
    assert (result.difference, result.superiority) == pytest.approx((0.25, 1) if n else (math.nan,) * 2, nan_ok=True)
    for name in (*UNDEFINED_WITHOUT_SPREAD, "p_t", "p_permutation", "d_z"):
        assert math.isnan(getattr(result, name)), name


@pytest.mark.parametrize("n", [2, 20])
def test_equal_conditions_are_no_evidence(n: int):
    a, _ = sample(n)
    result = compare(a, a)
    assert (result.difference, result.d_z, result.superiority) == (0, 0, 0.5)
    assert (result.p_t, result.p_permutation, result.verdict) == (1, 1, "not significant")
    assert all(math.isnan(getattr(result, name)) for name in UNDEFINED_WITHOUT_SPREAD)


@pytest.mark.parametrize("n", [2, 10])
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


def test_holm_is_that_of_statsmodels():
    values = np.random.default_rng(8).beta(0.3, 1, 30).round(2)  # with ties
    expected = multipletests(values, method="holm")[1]
    np.testing.assert_allclose(holm([math.nan, *values, math.nan]), [math.nan, *expected, math.nan], rtol=1e-12)


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
