import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from src.statistics.betting import betting_interval
from src.statistics.intervals import clopper_pearson_interval, difference_interval, wilson_interval
from src.statistics.paired import (
    compare_all,
    compare_collapse,
    compare_learned,
    difference_test,
    equivalence_test,
    hodges_lehmann,
    holm,
)
from src.statistics.proportions import mcnemar_test, paired_difference_interval

few = settings(max_examples=20, deadline=None, derandomize=True)
p_values = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12)


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return paired accuracies that share what their seeds share."""
    generator = np.random.default_rng([seed, n])
    common = generator.normal(0.7, 0.05, n)
    return common + generator.normal(0.01, 0.02, n), common + generator.normal(0, 0.02, n)


def test_collapses_are_counted_over_the_pairs_in_which_both_are_known():
    a, b = [0, 0, 1, 0, 1, math.nan, 0], [1, 1, 1, 0, 0, 1, math.nan]
    found = compare_collapse(a, b)
    assert (found.n, found.a, found.b) == (5, 2, 3)
    assert found.difference == pytest.approx(-0.2)
    assert (found.low, found.high) == paired_difference_interval(1, 2, 5)
    assert found.p == mcnemar_test(1, 2) == 1
    assert (found.a_low, found.a_high) == clopper_pearson_interval(2, 5)
    assert (found.b_low, found.b_high) == clopper_pearson_interval(3, 5)
    assert math.isnan(compare_collapse([], []).difference)


def symmetric(n: int, mean: float = 0.01) -> np.ndarray:
    """Return n differences without skewness."""
    half = np.random.default_rng(n).normal(0, 0.02, n // 2)
    return mean + np.concatenate([half, -half, [0.0] * (n % 2)])


@pytest.mark.parametrize(("n", "alpha"), [(8, 0.05), (20, 0.05), (201, 0.01)])
def test_symmetric_differences_have_scipys_t_test_and_interval(n: int, alpha: float):
    differences = symmetric(n)
    expected = stats.ttest_1samp(differences, 0)
    interval = expected.confidence_interval(1 - alpha)
    result = compare_learned(0.7 + differences, np.full(n, 0.7), alpha=alpha)
    assert (result.n, result.mean_b) == (n, pytest.approx(0.7))
    assert result.difference == pytest.approx(0.01, abs=1e-12)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert result.sd == pytest.approx(np.std(differences, ddof=1))
    assert math.isnan(result.p_margin)


@pytest.mark.parametrize("n", [3, 4, 7])
def test_few_differences_have_half_the_error_rate(n: int):
    differences = symmetric(n)
    expected = stats.ttest_1samp(differences, 0)
    assert difference_test(differences) == pytest.approx(min(1, 2 * expected.pvalue), rel=1e-6)
    assert equivalence_test(differences, 0.05) == pytest.approx(
        2 * DescrStatsW(differences).ttost_mean(-0.05, 0.05)[0], rel=1e-6
    )
    assert difference_interval(differences) == pytest.approx(tuple(expected.confidence_interval(0.975)), rel=1e-6)


@few
@given(
    arrays(float, st.integers(3, 30), elements=st.floats(-1, 1).map(lambda value: round(value, 3))),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.sampled_from([0.0, 0.25]),
)
def test_p_values_agree_with_the_intervals(differences: np.ndarray, alpha: float, overlap: float):
    low, high = difference_interval(differences, 1 - alpha, overlap)
    if math.isnan(low):
        assert np.ptp(differences) == 0
        return
    assert low <= differences.mean() <= high
    assert (difference_test(differences, overlap) <= alpha) == (low > 0 or high < 0)
    low, high = difference_interval(differences, 1 - 2 * alpha, overlap)
    assert (equivalence_test(differences, 0.3, overlap) <= alpha) == (low > -0.3 and high < 0.3)


@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
def test_equivalence_of_symmetric_differences_is_that_of_statsmodels(margin: float):
    expected = DescrStatsW(symmetric(20)).ttost_mean(-margin, margin)[0]
    assert compare_learned(symmetric(20), np.zeros(20), margin=margin).p_margin == pytest.approx(expected, rel=1e-5)


def test_equivalence_is_rarely_found_at_the_margin():
    values = np.random.default_rng(2).normal(0.02, 0.01, (1_000, 10))
    found = np.mean([equivalence_test(row, 0.02) <= 0.05 for row in values])
    assert stats.binom.sf(round(1_000 * found) - 1, 1_000, 0.05) > 0.001


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 20, 21])
def test_hodges_lehmann_by_listing_every_pair(n: int):
    values = np.random.default_rng(n).normal(0, 1, n)
    for each in (values, np.round(4 * values) / 4):  # without and with ties
        means = [(each[i] + each[j]) / 2 for i in range(n) for j in range(i, n)]
        assert hodges_lehmann(each) == pytest.approx(np.median(means), abs=1e-12)


def test_hodges_lehmann_of_nothing_is_unknown():
    assert math.isnan(hodges_lehmann([]))


def test_all_pairs_have_the_numbers_of_their_parts():
    a, b = sample(30)
    b[:3] = 0.25
    found = compare_all(a, b, bound=1.0)
    differences = np.round(a - b, 12)
    assert (found.n, found.difference) == (30, pytest.approx((a - b).mean()))
    assert (found.low, found.high) == betting_interval(differences, -1, 1)
    assert (found.within_low, found.within_high) == betting_interval(differences, -1, 1, 0.9)
    assert found.iqm == pytest.approx(np.sort(differences)[7:23].mean())
    assert found.iqm_low < found.iqm < found.iqm_high
    wins = (a > b).sum()
    assert (found.superiority_low, found.superiority_high) == wilson_interval(wins, 30)
    anytime = compare_all(a, b, bound=1.0, anytime=True)
    assert (anytime.low, anytime.high) == betting_interval(differences, -1, 1, anytime=True)
    assert math.isnan(compare_all(a, b).low)


def test_a_tie_up_to_rounding_is_half_a_win():
    assert compare_all(0.1 + np.array([0.2, 0.1, 0.3]), [0.3, 0.2, 0.4]).superiority == 0.5


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pairs_leave_tests_undefined(n: int):
    learned, overall = compare_learned([0.75][:n], [0.5][:n], margin=0.1), compare_all([0.75][:n], [0.5][:n])
    expected = (0.25, 1) if n else (math.nan,) * 2
    assert (learned.difference, overall.superiority) == pytest.approx(expected, nan_ok=True)
    assert all(map(math.isnan, (learned.low, learned.high, learned.p, learned.p_margin, learned.sd)))


@pytest.mark.parametrize("n", [2, 20])
def test_equal_conditions_are_no_evidence(n: int):
    a, _ = sample(n)
    result = compare_learned(a, a)
    assert (result.difference, result.p) == (0, 1)
    assert math.isnan(result.low)
    assert compare_all(a, a).superiority == 0.5


@pytest.mark.parametrize("n", [2, 10])
def test_a_constant_difference_has_no_known_error(n: int):
    base = np.linspace(0.4, 0.7, n)  # floats whose differences from the next line are not all the same
    result = compare_learned(base + 0.03, base)
    assert result.difference == pytest.approx(0.03)
    assert all(map(math.isnan, (result.low, result.high, result.p)))


@few
@given(arrays(float, 12, elements=st.integers(0, 64).map(lambda correct: correct / 64)))
def test_swapping_the_two_flips_the_signs(values: np.ndarray):
    a, b = values[:6], values[6:]
    forth, back = compare_learned(a, b, margin=0.1), compare_learned(b, a, margin=0.1)
    assert (forth.difference, forth.low) == pytest.approx((-back.difference, -back.high), nan_ok=True)
    assert (forth.hodges_lehmann, forth.p) == pytest.approx((-back.hodges_lehmann, back.p), nan_ok=True)
    assert forth.p_margin == pytest.approx(back.p_margin, nan_ok=True)
    overall, mirrored = compare_all(a, b, bound=1.0), compare_all(b, a, bound=1.0)
    assert (overall.low, overall.superiority) == pytest.approx((-mirrored.high, 1 - mirrored.superiority), abs=1e-9)
    assert overall.e_value == pytest.approx(mirrored.e_value)


@pytest.mark.parametrize("n", [7, 8, 20])
def test_skewness_is_tested_from_eight_pairs_on(n: int):
    differences = np.random.default_rng(n).exponential(size=n)
    p = compare_learned(differences, np.zeros(n)).p_skewness
    assert p == pytest.approx(stats.skewtest(differences).pvalue if n >= 8 else math.nan, nan_ok=True)


def test_pairs_with_a_missing_value_do_not_count():
    a, b = [0.7, math.nan, 0.8, 0.9, 0.75], [0.6, 0.7, math.inf, 0.7, 0.71]
    kept = [0.7, 0.9, 0.75], [0.6, 0.7, 0.71]
    assert compare_learned(a, b).difference == compare_learned(*kept).difference
    assert compare_all(a, b).n == 3


@pytest.mark.parametrize("shapes", [([1, 2], [1]), ([[1]], [[1]])])
@pytest.mark.parametrize("compare", [compare_collapse, compare_learned, compare_all])
def test_vectors_of_different_lengths_are_refused(compare, shapes):
    with pytest.raises(ValueError, match="vectors of one length"):
        compare(*shapes)


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


def test_differences_without_spread_or_skewness_have_no_p_value():
    assert difference_test([0.0, 0.0, 0.0]) == 1
    assert all(map(math.isnan, map(difference_test, ([], [0.0], [0.1, 0.1, 0.1], [0.01, 0.03]))))
    assert all(map(math.isnan, map(equivalence_test, ([0.0], [0.01, 0.03]), (1.0, 1.0))))


@pytest.mark.parametrize("overlap", [0.25, 1.0])
def test_overlapping_folds_have_the_corrected_resampled_t_test(overlap):
    differences = symmetric(10, mean=0.02)
    n, mean = len(differences), differences.mean()
    variance = sum((each - mean) ** 2 for each in differences) / (n - 1)
    error = math.sqrt((1 / n + overlap) * variance)
    found = compare_learned(differences, np.zeros(n), margin=0.05, overlap=overlap)
    assert found.p == pytest.approx(2 * stats.t.cdf(-abs(mean / error), n - 1), rel=1e-9)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, n - 1, mean, error), rel=1e-9)
    ends = (stats.t.cdf((mean - 0.05) / error, n - 1), stats.t.sf((mean + 0.05) / error, n - 1))
    assert found.p_margin == pytest.approx(max(ends), rel=1e-6)
