"""Paired comparison of two conditions in three parts: arrays in, numbers out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import stdtr

from src.statistics.anytime import sign_e_value, t_confidence_sequence, t_e_value
from src.statistics.betting import betting_interval, e_value
from src.statistics.intervals import (
    MIN_FULL_LEVEL,
    MIN_VALUES,
    clopper_pearson_interval,
    difference_interval,
    hall_statistic,
    interquartile_mean_interval,
    skewness,
    wilson_interval,
)
from src.statistics.proportions import mcnemar_test, paired_difference_interval

_MIN_SKEWNESS_VALUES = 8  # below, the test's normal approximation does not hold
DECIMALS = 12  # differences are rounded, so that floating-point error neither breaks ties nor adds variance


@dataclass(frozen=True)
class CollapseComparison:
    """Comparison of how often A and B collapse.

    Attributes:
        n: Number of pairs of which it is known whether both collapsed.
        a: Number of them in which A collapsed, with ``a_low`` and ``a_high``, the Clopper-Pearson interval of its
            probability.
        b: The same of B.
        difference: Share of A less that of B; NaN where n = 0.
        low: Lower end of Tango's interval of it, or of its confidence sequence by betting.
        high: Upper end.
        p: Two-sided p value of McNemar's exact test, or 1 / e of ``sign_e_value``; NaN where A and B collapsed in the
            same pairs.
    """

    n: int
    a: int
    a_low: float
    a_high: float
    b: int
    b_low: float
    b_high: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class LearnedComparison:
    """Comparison of A and B in the pairs in which both learned.

    Without three pairs, or where all differences are equal, the interval is NaN.

    Attributes:
        n: Number of pairs.
        mean_a: Mean of A; NaN where n = 0.
        mean_b: Mean of B.
        difference: Mean of A - B.
        low: Lower end of ``difference_interval``, or of the t confidence sequence.
        high: Upper end.
        hodges_lehmann: Median of the means of all pairs of differences, which a few outliers do not move.
        sd: Standard deviation of the differences.
        p_skewness: p value of D'Agostino's test that the differences are not skewed; NaN below eight pairs and where
            all differences are equal.
        p: p value of ``difference_test``, or 1 / e of ``t_e_value``, which agrees with the interval; 1 where all
            differences are 0.
        p_margin: p value of ``equivalence_test``, that the difference is beyond the margin; NaN without a margin.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    hodges_lehmann: float
    sd: float
    p_skewness: float
    p: float
    p_margin: float


@dataclass(frozen=True)
class OverallComparison:
    """Comparison of A and B over all pairs, collapsed or not.

    Attributes:
        n: Number of pairs.
        mean_a: Mean of A; NaN where n = 0.
        mean_b: Mean of B.
        difference: Mean of A - B.
        low: Lower end of its betting interval, which holds for any distribution; NaN without a bound.
        high: Upper end.
        e_value: Evidence against a mean difference of 0, which holds however the study grew; NaN without a bound.
        within_low: Lower end of the interval that has to lie within a margin, at twice the error rate.
        within_high: Upper end.
        iqm: Interquartile mean of A - B.
        iqm_low: Lower end of its bootstrap interval; NaN below 20 pairs.
        iqm_high: Upper end.
        superiority: Estimate of P(A > B), ties counting one half.
        superiority_low: Lower end of its Wilson interval; NaN below four pairs.
        superiority_high: Upper end.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    e_value: float
    within_low: float
    within_high: float
    iqm: float
    iqm_low: float
    iqm_high: float
    superiority: float
    superiority_low: float
    superiority_high: float


def compare_collapse(a: ArrayLike, b: ArrayLike, *, alpha: float = 0.05, anytime: bool = False) -> CollapseComparison:
    """Compare how often A and B collapse, paired by position.

    Args:
        a: Whether A collapsed, (n,): 1, 0, or NaN where it is unknown.
        b: The same of B.
        alpha: Error rate of the intervals, in (0, 1).
        anytime: Whether interval and p value hold however the study grew; those of A and B alone do not.

    Example:
        >>> found = compare_collapse([0, 0, 0, 0], [1, 0, 0, 1])
        >>> print(f"{found.difference:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.2f}")
        -0.50 [-0.85, 0.23], p = 0.50
    """
    left, right = _pairs(a, b)
    n, count_a, count_b = len(left), int(left.sum()), int(right.sum())
    only_a, only_b = int((left > right).sum()), int((right > left).sum())
    p, low, high = mcnemar_test(only_a, only_b), *paired_difference_interval(only_a, only_b, n, 1 - alpha)
    if anytime and n:
        low, high = betting_interval(left - right, -1, 1, 1 - alpha, anytime=True)
        p = _p_of(sign_e_value(only_a, only_b)) if only_a + only_b else math.nan
    return CollapseComparison(
        n,
        count_a,
        *clopper_pearson_interval(count_a, n, 1 - alpha),
        count_b,
        *clopper_pearson_interval(count_b, n, 1 - alpha),
        (count_a - count_b) / n if n else math.nan,
        low,
        high,
        p,
    )


def compare_learned(
    a: ArrayLike,
    b: ArrayLike,
    *,
    alpha: float = 0.05,
    margin: float | None = None,
    anytime: bool = False,
    overlap: float = 0.0,
) -> LearnedComparison:
    """Compare A with B, paired by position, in pairs in which both learned.

    Args:
        a: Values of A, (n,); pairs with a value that is not finite are left out.
        b: Values of B, (n,), in the same units.
        alpha: Error rate of the interval, in (0, 1).
        margin: Differences below it do not matter, above 0; None for none.
        anytime: Whether interval and p values hold however the study grew; they then need independent pairs.
        overlap: The ratio of test to training samples where pairs share training samples; see ``mean_interval``.

    Example:
        >>> found = compare_learned([0.74, 0.75, 0.73, 0.76, 0.75, 0.74], [0.72, 0.74, 0.73, 0.73, 0.72, 0.73])
        >>> print(f"{found.difference:.4f} [{found.low:.4f}, {found.high:.4f}], p = {found.p:.3f}")
        0.0167 [0.0005, 0.0323], p = 0.045
    """
    left, right = _pairs(a, b)
    differences = np.round(left - right, DECIMALS)
    n = len(differences)
    low, high = difference_interval(differences, 1 - alpha, overlap)
    p = difference_test(differences, overlap)
    p_margin = math.nan if margin is None else equivalence_test(differences, margin, overlap)
    if anytime:
        low, high = t_confidence_sequence(differences, 1 - alpha)
        p = _p_of(t_e_value(differences)) if n > 1 else math.nan
        p_margin = math.nan if margin is None else anytime_equivalence_test(differences, margin)
    return LearnedComparison(
        n=n,
        mean_a=_mean(left),
        mean_b=_mean(right),
        difference=_mean(differences),
        low=low,
        high=high,
        hodges_lehmann=hodges_lehmann(differences),
        sd=float(differences.std(ddof=1)) if n > 1 else math.nan,
        p_skewness=float(stats.skewtest(differences).pvalue)
        if _varies(differences) and n >= _MIN_SKEWNESS_VALUES
        else math.nan,
        p=p,
        p_margin=p_margin,
    )


def compare_all(
    a: ArrayLike, b: ArrayLike, *, alpha: float = 0.05, bound: float | None = None, anytime: bool = False
) -> OverallComparison:
    """Compare A with B over all pairs, paired by position and in the order in which they were trained.

    Args:
        a: Values of A, (n,); larger is better. Pairs with a value that is not finite are left out.
        b: Values of B, (n,), in the same units.
        alpha: Error rate of the intervals, in (0, 1).
        bound: The largest possible difference in absolute value, or None where there is none.
        anytime: Whether the interval of the mean holds at every n at once, however the study grew.
    """
    left, right = _pairs(a, b)
    differences = np.round(left - right, DECIMALS)
    n = len(differences)
    wins = float((differences > 0).sum() + (differences == 0).sum() / 2)
    ends, within, evidence = (math.nan, math.nan), (math.nan, math.nan), math.nan
    if bound is not None and n:
        ends = betting_interval(differences, -bound, bound, 1 - alpha, anytime=anytime)
        within = betting_interval(differences, -bound, bound, 1 - 2 * alpha, anytime=anytime)
        evidence = e_value(differences, -bound, bound, 0.0)
    return OverallComparison(
        n,
        _mean(left),
        _mean(right),
        _mean(differences),
        *ends,
        evidence,
        *within,
        *interquartile_mean_interval(differences, 1 - alpha),
        wins / n if n else math.nan,
        *(wilson_interval(wins, n, 1 - alpha) if n >= MIN_VALUES["P(better)"] else (math.nan, math.nan)),
    )


def _p_of(e: float) -> float:
    """Return the p value that holds wherever an e-value does."""
    return min(1.0, 1 / e) if e > 0 else 1.0


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(f"Expected `a` and `b` to be vectors of one length, got {left.shape} and {right.shape}.")
    finite = np.isfinite(left) & np.isfinite(right)
    return left[finite], right[finite]


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _varies(differences: NDArray[np.floating]) -> bool:
    return len(differences) > 1 and bool(np.ptp(differences) > 0)


def difference_test(differences: ArrayLike, overlap: float = 0.0) -> float:
    """Return the two-sided p value of a test that the mean of differences is 0.

    It is the larger one of Student's t test and of the same test of ``hall_statistic``, so that it holds its level for
    symmetric and for skewed differences, and twice that below ``MIN_FULL_LEVEL`` differences.

    Args:
        differences: The sample, (n,), finite.
        overlap: See ``mean_interval``.

    Returns:
        The p value: at most alpha exactly where ``difference_interval`` of confidence 1 - alpha does not contain 0. 1
        where all differences are 0; NaN where n < 3 or all are equal but not 0, as the standard error is then unknown.
    """
    sample = np.asarray(differences, dtype=float)
    if _is_tested(sample):
        return min(1.0, 2 * min(_one_sided(sample, 0.0, overlap)))
    return 1.0 if len(sample) > 1 and not sample.any() else math.nan


def equivalence_test(differences: ArrayLike, margin: float, overlap: float = 0.0) -> float:
    """Return the p value of two one-sided tests that the mean of differences is within a margin (Schuirmann 1987).

    Args:
        differences: The sample, (n,), finite.
        margin: The margin, above 0.
        overlap: See ``mean_interval``.

    Returns:
        The larger of both p values: at most alpha exactly where ``difference_interval`` of confidence 1 - 2 alpha is
        inside of (-margin, margin). NaN where n < 3 or all differences are equal.
    """
    sample = np.asarray(differences, dtype=float)
    if not _is_tested(sample):
        return math.nan
    return min(1.0, max(_one_sided(sample, -margin, overlap)[0], _one_sided(sample, margin, overlap)[1]))


def _is_tested(sample: NDArray[np.floating]) -> bool:
    return len(sample) >= MIN_VALUES["difference"] and _varies(sample)


def _one_sided(sample: NDArray[np.floating], mean: float, overlap: float) -> tuple[float, float]:
    """Return the p values of the hypotheses that the mean is at most, and at least, a number."""
    n = len(sample)
    t = float((sample.mean() - mean) / (sample.std(ddof=1) * math.sqrt(1 / n + overlap)))
    both = t, hall_statistic(t, skewness(sample), n)
    factor = 1 if n >= MIN_FULL_LEVEL else 2
    return factor * float(stdtr(n - 1, -min(both))), factor * float(stdtr(n - 1, max(both)))


def anytime_equivalence_test(differences: ArrayLike, margin: float) -> float:
    """Return a p value as ``equivalence_test`` does that holds however the sample grew, from ``t_e_value``."""
    sample = np.asarray(differences, dtype=float)
    if not _varies(sample) or abs(sample.mean()) >= margin:
        return 1.0 if _varies(sample) else math.nan
    return max(_p_of(t_e_value(sample + margin)), _p_of(t_e_value(sample - margin)))


def hodges_lehmann(differences: ArrayLike) -> float:
    """Return the median of the means of all pairs of values, each with itself included (Hodges and Lehmann 1963).

    Args:
        differences: The sample, (n,), finite.

    Returns:
        The estimate; NaN where n = 0.

    Example:
        >>> hodges_lehmann([0.0, 1.0, 2.0, 100.0])
        1.75
    """
    x = np.sort(np.asarray(differences, dtype=float))
    n = len(x)
    if n == 0:
        return math.nan
    pairs = n * (n + 1) // 2
    middle = sorted({(pairs + 1) // 2, pairs // 2 + 1})
    return sum(_ranked_sum(x, rank) for rank in middle) / (2 * len(middle))


def _ranked_sum(x: NDArray[np.floating], rank: int) -> float:
    """Return the sum with a rank, from 1, among those of all pairs of sorted values, in memory of order n.

    The number of sums up to a limit is counted by binary search, and the limit is halved in on.
    """
    n = len(x)

    def count(limit: float) -> int:
        later = np.searchsorted(x, limit - x, side="right") - np.arange(n)  # partners from each value itself on
        return int(np.maximum(later, 0).sum())

    low, high = 2 * x[0], 2 * x[-1]
    while count(low) < rank and (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if count(middle) >= rank else (middle, high)
    return float(low if count(low) >= rank else high)


def holm(p_values: ArrayLike) -> NDArray[np.floating]:
    """Return p values adjusted for multiple testing by Holm's step-down method (Holm 1979).

    Args:
        p_values: The family, (m,); NaN where there was no test.

    Returns:
        Adjusted values in the same order, (m,); NaN stays NaN and does not count in m.

    Example:
        >>> print(holm([0.01, 0.04, float("nan"), 0.03]))
        [0.03 0.06  nan 0.06]
    """
    adjusted = np.array(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(adjusted))
    order = tested[np.argsort(adjusted[tested])]
    # statsmodels' multipletests runs the garbage collector at each call, which takes 1,000 times as long.
    scaled = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
