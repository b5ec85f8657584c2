"""Compare two conditions seed by seed: arrays in, numbers out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr

from src.statistics.intervals import mean_interval
from src.statistics.resampling import DECIMALS, bca_interval, sign_flip

NOT_SIGNIFICANT = "not significant"
NOT_MEANINGFUL = "significant but not meaningful"
BETTER = "better"
WORSE = "worse"


@dataclass(frozen=True)
class Comparison:
    """What paired values of A and B say of A - B.

    Attributes:
        n: Pairs of which both are finite; only these count.
        mean_a: Mean of A; NaN where n = 0.
        mean_b: Mean of B; NaN where n = 0.
        difference: Mean of A - B; NaN where n = 0.
        low: Lower end of the paired t interval; NaN where n < 2 or all differences are equal.
        high: Upper end of it.
        bca_low: Lower end of the BCa bootstrap interval; NaN in the same cases.
        bca_high: Upper end of it.
        p_t: Two-sided p value of the paired t test, the one to correct and to report, since it agrees with ``low``
            and ``high``; NaN where n < 2 or all differences are equal but not 0, 1 where all are 0.
        p_permutation: Two-sided p value of the sign-flip test; NaN where n < 2, 1 where all differences are 0.
        exact: Whether that went through all 2^n signs rather than a sample of them.
        d_z: Mean over standard deviation of the differences; NaN where n < 2 or all differences are equal but not 0, 0
            where all are 0.
        superiority: Share of pairs with A > B, ties counting one half: the estimate of P(A > B); NaN where n = 0.
        superiority_low: Lower end of its Wilson interval; NaN where n = 0.
        superiority_high: Upper end of it.
        verdict: ``not significant``, ``significant but not meaningful``, ``better`` or ``worse``, see ``verdict``.
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
    """Compare A with B, paired by position: a and b of one seed share their data.

    A pair of which one is NaN or infinite does not count. Swapping A and B flips the signs and swaps the ends of the
    intervals. Differences are rounded to 12 decimals.

    Args:
        a: A's values, (n,); larger is better.
        b: B's values, (n,), in the same units.
        alpha: Error rate; every interval covers with 1 - alpha. In (0, 1).
        gamma: P(A > B) above which a difference is meaningful, in (0.5, 1).
        seed: Of the resampling.

    Raises:
        ValueError: If a and b are not of one length, or ``alpha`` or ``gamma`` is out of its range.

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
    check_range("alpha", alpha, 0)
    check_range("gamma", gamma, 0.5)
    both = np.isfinite(left) & np.isfinite(right)
    left, right = left[both], right[both]
    differences = np.round(left - right, DECIMALS)
    n = len(differences)
    _, low, high = mean_interval(differences if _has_spread(differences) else [], 1 - alpha)
    bca_low, bca_high = bca_interval(differences, 1 - alpha, seed)
    p_permutation, exact = sign_flip(differences, seed)
    wins = float((differences > 0).sum() + (differences == 0).sum() / 2)
    superiority_low, superiority_high = wilson(wins, n, 1 - alpha)
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
        d_z=_effect(differences),
        superiority=wins / n if n else math.nan,
        superiority_low=superiority_low,
        superiority_high=superiority_high,
        verdict=verdict(superiority_low, superiority_high, gamma),
    )


def _has_spread(differences: NDArray[np.floating]) -> bool:
    return len(differences) > 1 and bool(np.ptp(differences) > 0)


def _effect(differences: NDArray[np.floating]) -> float:
    """Return Cohen's d_z, mean over standard deviation (over n - 1)."""
    if _has_spread(differences):
        return float(differences.mean() / differences.std(ddof=1))
    return 0.0 if len(differences) > 1 and not differences.any() else math.nan


def t_test(differences: ArrayLike) -> float:
    r"""Return the two-sided p value of Student's t test that the mean of a sample is 0.

    .. math:: p = 2 P(T_{n-1} \le -|t|), \quad t = \sqrt n \; \bar d / s

    Args:
        differences: The sample, (n,), finite.

    Returns:
        The p value; NaN where n < 2 or all are equal but not 0, since no spread says nothing of the error of the mean;
        1 where all are 0.
    """
    sample = np.asarray(differences, dtype=float)
    if len(sample) > 1 and not sample.any():
        return 1.0
    return float(2 * stdtr(len(sample) - 1, -abs(_effect(sample)) * math.sqrt(len(sample))))


def wilson(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Return Wilson's score interval of a probability (Wilson 1927).

    .. math:: \frac{s + z^2 / 2}{n + z^2} \pm \frac{z}{n + z^2} \sqrt{\frac{s (n - s)}{n} + \frac{z^2}{4}}

    A tie may count as half a success; the interval is then a little wide, as half a success varies less than a whole.

    Args:
        successes: How many of the trials succeeded, s in [0, n].
        n: Number of trials.
        confidence: How often the interval covers, in (0, 1).

    Returns:
        Both ends, in [0, 1]; NaN where n = 0.

    Example:
        >>> low, high = wilson(15.5, 20)
        >>> print(f"{low:.3f} {high:.3f}")
        0.557 0.904
    """
    check_range("confidence", confidence, 0)
    if not 0 <= successes <= n:
        raise ValueError(f"Expected `successes` to be a number in [0, {n}], got {successes!r}.")
    if n == 0:
        return math.nan, math.nan
    z = float(ndtri((1 + confidence) / 2))
    centre = (successes + z**2 / 2) / (n + z**2)
    reach = z / (n + z**2) * math.sqrt(successes * (n - successes) / n + z**2 / 4)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def verdict(low: float, high: float, gamma: float) -> str:
    """Read an interval of P(A > B) as Bouthillier et al. 2021 (Accounting for Variance in Machine Learning Benchmarks).

    For A: ``not significant`` where low <= 0.5; ``significant but not meaningful`` where low > 0.5 and high <= gamma;
    ``better`` where low > 0.5 and high > gamma. The same for B with 1 - high and 1 - low: ``worse``.

    They take a percentile bootstrap interval, which has no width where all pairs agree; Wilson's keeps some. Still, 4
    or 5 pairs that all agree read as ``better`` or ``worse``, which chance alone does in 12 and 6 % of studies.

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
    r"""Return p values adjusted for the size of their family by Holm's step-down method (Holm 1979).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)})

    To reject where an adjusted value is at most alpha rejects any true hypothesis with probability at most alpha,
    whatever the dependence among the tests.

    Args:
        p_values: The family, (m,); NaN where there was no test.

    Returns:
        Adjusted values in the same order, (m,); what is NaN stays NaN and does not count in m.

    Example:
        >>> print(holm([0.01, 0.04, float("nan"), 0.03]))
        [0.03 0.06  nan 0.06]
    """
    adjusted = np.array(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(adjusted))
    order = tested[np.argsort(adjusted[tested])]
    scaled = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def mean_over_conditions(values: ArrayLike) -> NDArray[np.floating]:
    """Return each seed's mean over conditions, such as class counts: one contrast instead of K.

    Args:
        values: The values of K >= 1 conditions, or differences between two losses under each, (K, n); NaN where a
            condition lacks a seed.

    Returns:
        The means, (n,); NaN for a seed that any condition lacks, which ``compare`` then leaves out.

    Example:
        >>> print(mean_over_conditions([[0.02, 0.01, 0.03], [0.04, float("nan"), -0.01]]))
        [0.03  nan 0.01]
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or len(table) == 0:
        raise ValueError(f"Expected `values` to be of shape (K, n) with K at least 1, got {table.shape}.")
    return np.where(np.isfinite(table).all(axis=0), np.where(np.isfinite(table), table, 0).mean(axis=0), math.nan)


def check_range(name: str, value: float, above: float) -> None:
    """Raise a ValueError unless a number is strictly between ``above`` and 1."""
    if not above < value < 1:
        raise ValueError(f"Expected `{name}` to be a number in ({above}, 1), got {value!r}.")
