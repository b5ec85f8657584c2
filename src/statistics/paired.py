"""Paired comparison of two conditions: arrays in, numbers out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from src.statistics.intervals import BATCH, RESAMPLES, bca_interval, check_range, mean_interval, wilson_interval

NOT_SIGNIFICANT = "not significant"
NOT_MEANINGFUL = "significant but not meaningful"
BETTER = "better"
WORSE = "worse"
DECIMALS = 12  # differences are rounded, so that floating-point error neither breaks ties nor adds variance


@dataclass(frozen=True)
class Comparison:
    """Statistics of the paired differences A - B.

    Without two pairs (n < 2), or where all differences are equal, intervals and effect size are NaN.

    Attributes:
        n: Number of pairs of finite values; other pairs are left out.
        mean_a: Mean of A; NaN where n = 0.
        mean_b: Mean of B; NaN where n = 0.
        difference: Mean of A - B; NaN where n = 0.
        low: Lower end of the paired t interval.
        high: Upper end of it.
        bca_low: Lower end of the BCa bootstrap interval.
        bca_high: Upper end of it.
        p_t: Two-sided p value of the paired t test, which agrees with ``low`` and ``high``; 1 where all differences
            are 0.
        p_permutation: Two-sided p value of the sign-flip test; NaN where n < 2.
        exact: Whether the sign-flip test enumerated all 2^n sign patterns.
        d_z: Cohen's d_z, the mean over the standard deviation of the differences; 0 where all are 0.
        superiority: Estimate of P(A > B), ties counting one half; NaN where n = 0.
        superiority_low: Lower end of its Wilson interval; NaN where n = 0.
        superiority_high: Upper end of it.
        verdict: See ``verdict``.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    bca_low: float
    bca_high: float
    p_t: float
    p_permutation: float
    exact: bool
    d_z: float
    superiority: float
    superiority_low: float
    superiority_high: float
    verdict: str


def compare(a: ArrayLike, b: ArrayLike, *, alpha: float = 0.05, gamma: float = 0.75, seed: int = 0) -> Comparison:
    """Compare A with B, paired by position.

    Args:
        a: Values of A, (n,); larger is better.
        b: Values of B, (n,), in the same units.
        alpha: Error rate of the intervals, in (0, 1).
        gamma: P(A > B) above which a difference is meaningful, in (0.5, 1).
        seed: Seed of the resampling.

    Raises:
        ValueError: If a and b are not vectors of one length, or ``alpha`` or ``gamma`` is out of its range.

    Example:
        >>> result = compare([0.74, 0.75, 0.73, 0.76, 0.75, 0.74], [0.72, 0.74, 0.73, 0.73, 0.72, 0.73])
        >>> print(f"{result.difference:.4f} [{result.low:.4f}, {result.high:.4f}], p = {result.p_t:.3f}")
        0.0167 [0.0040, 0.0294], p = 0.020
        >>> print(f"{result.p_permutation:.4f}, {result.superiority:.3f}, {result.verdict}")
        0.0625, 0.917, better
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(f"Expected `a` and `b` to be vectors of one length, got {left.shape} and {right.shape}.")
    check_range("alpha", alpha)
    check_range("gamma", gamma, 0.5)
    finite = np.isfinite(left) & np.isfinite(right)
    left, right = left[finite], right[finite]
    differences = np.round(left - right, DECIMALS)
    n = len(differences)
    _, low, high = mean_interval(differences if _varies(differences) else [], 1 - alpha)
    bca_low, bca_high = bca_interval(differences, 1 - alpha, seed)
    p_permutation, exact = sign_flip_test(differences, seed)
    wins = float((differences > 0).sum() + (differences == 0).sum() / 2)
    superiority_low, superiority_high = wilson_interval(wins, n, 1 - alpha)
    return Comparison(
        n=n,
        mean_a=float(left.mean()) if n else math.nan,
        mean_b=float(right.mean()) if n else math.nan,
        difference=float(differences.mean()) if n else math.nan,
        low=low,
        high=high,
        bca_low=bca_low,
        bca_high=bca_high,
        p_t=t_test(differences),
        p_permutation=p_permutation,
        exact=exact,
        d_z=_effect_size(differences),
        superiority=wins / n if n else math.nan,
        superiority_low=superiority_low,
        superiority_high=superiority_high,
        verdict=verdict(superiority_low, superiority_high, gamma),
    )


def _varies(differences: NDArray[np.floating]) -> bool:
    return len(differences) > 1 and bool(np.ptp(differences) > 0)


def _effect_size(differences: NDArray[np.floating]) -> float:
    if _varies(differences):
        return float(differences.mean() / differences.std(ddof=1))
    return 0.0 if len(differences) > 1 and not differences.any() else math.nan


def t_test(differences: ArrayLike) -> float:
    """Return the two-sided p value of Student's t test that the mean of a sample is 0.

    Args:
        differences: The sample, (n,), finite.

    Returns:
        The p value; 1 where all differences are 0; NaN where n < 2 or all are equal but not 0, as the standard error
        is then unknown.
    """
    sample = np.asarray(differences, dtype=float)
    if _varies(sample):
        return float(stats.ttest_1samp(sample, 0).pvalue)
    return 1.0 if len(sample) > 1 and not sample.any() else math.nan


def sign_flip_test(differences: ArrayLike, seed: int = 0) -> tuple[float, bool]:
    """Return the two-sided p value of the sign-flip permutation test, and whether it is exact.

    If A and B are exchangeable, each difference could as well have the other sign. All 2^n sign patterns are
    enumerated up to n = 13; otherwise 9,999 are drawn. The test assumes no normal distribution, but its p value cannot
    be below 2 / 2^n.

    Args:
        differences: The sample, (n,), finite; rounded to 12 decimals.
        seed: Seed of the draws.

    Returns:
        The p value, NaN where n < 2; and whether all patterns were enumerated.
    """
    sample = np.asarray(differences, dtype=float)
    exact = 2 ** len(sample) <= RESAMPLES
    if len(sample) < 2:
        return math.nan, exact
    result = stats.permutation_test(
        (np.rint(sample * 10**DECIMALS),),  # sums of integers are exact, so that ties stay ties
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // len(sample)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue), exact


def verdict(low: float, high: float, gamma: float) -> str:
    """Interpret an interval of P(A > B) as Bouthillier et al. 2021 (Accounting for Variance in ML Benchmarks) do.

    For A: ``not significant`` where low <= 0.5; ``significant but not meaningful`` where low > 0.5 and high <= gamma;
    ``better`` where low > 0.5 and high > gamma. The same for B with 1 - high and 1 - low: ``worse``. They use a
    percentile bootstrap interval, which has width 0 where all pairs agree; Wilson's does not. Still, 4 or 5 pairs that
    all agree are ``better`` or ``worse``, which happens by chance in 12 and 6 % of studies.

    Args:
        low: Lower end; NaN is not significant.
        high: Upper end.
        gamma: P(A > B) above which a difference is meaningful.
    """
    if low > 0.5:
        return BETTER if high > gamma else NOT_MEANINGFUL
    if high < 0.5:
        return WORSE if low < 1 - gamma else NOT_MEANINGFUL
    return NOT_SIGNIFICANT


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
