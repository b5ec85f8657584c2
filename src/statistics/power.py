"""Statistical power of paired comparisons: numbers in, numbers out."""

import math
from bisect import bisect_left

from scipy import stats

from src.statistics.intervals import check_range

MAX_SEEDS = 2**53  # floats skip integers beyond
_MAX_NONCENTRALITY = 1e9  # scipy's noncentral t distribution returns NaN from 1e10


def paired_power(difference: float, sd: float, n: int, alpha: float = 0.05) -> float:
    r"""Return the probability that the two-sided paired t test rejects.

    .. math:: P(|T| > t_{1 - \alpha / 2,\, n - 1}), \quad T \sim t_{n - 1}(\sqrt n \; |difference| / sd)

    T has the noncentral t distribution (Cohen 1988). The power at the observed difference adds nothing to the p value
    (Hoenig and Heisey 2001): it is about one half where p = alpha.

    Args:
        difference: True mean difference.
        sd: Standard deviation of the differences, at least 0.
        n: Number of pairs.
        alpha: Error rate of the test, in (0, 1).

    Returns:
        The power; NaN where n < 2, or the difference or sd is NaN. Where sd = 0, 1 for any difference, and 0 for none.

    Example:
        >>> print(f"{paired_power(0.01, 0.02, 20):.3f}")
        0.565
    """
    _check_test(sd, alpha)
    if n < 2 or math.isnan(difference) or math.isnan(sd):
        return math.nan
    if sd == 0:
        return float(difference != 0)
    # statsmodels' TTestPower returns NaN wherever one tail underflows, such as an effect of 0.1 with 10,000 pairs.
    noncentrality = min(math.sqrt(n) * (abs(difference) / sd), _MAX_NONCENTRALITY)
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    tails = stats.nct.sf(critical, n - 1, noncentrality), stats.nct.cdf(-critical, n - 1, noncentrality)
    return min(1.0, sum(float(tail) for tail in tails if not math.isnan(tail)))


def seeds_needed(difference: float, sd: float, power: float, alpha: float = 0.05) -> int | None:
    """Return the smallest number of pairs, at least 2, for which ``paired_power`` reaches some power.

    Args:
        difference: True mean difference.
        sd: Standard deviation of the differences, at least 0.
        power: Power to reach, in (0, 1).
        alpha: Error rate of the test, in (0, 1).

    Returns:
        The number; None where the difference is 0, anything is NaN, or 2^53 pairs would be too few.

    Example:
        >>> seeds_needed(0.01, 0.02, 0.80)
        34
    """
    _check_test(sd, alpha)
    check_range("power", power)
    if difference == 0 or math.isnan(difference) or math.isnan(sd):
        return None
    # statsmodels' solve_power does not converge for large effects, and takes four times as long.
    upper = 2
    while paired_power(difference, sd, upper, alpha) < power:
        upper *= 2
        if upper > MAX_SEEDS:
            return None
    numbers = range(max(2, upper // 2), upper)
    return numbers.start + bisect_left(numbers, power, key=lambda n: paired_power(difference, sd, n, alpha))


def _check_test(sd: float, alpha: float) -> None:
    check_range("alpha", alpha)
    if sd < 0:
        raise ValueError(f"Expected `sd` to be a number of at least 0, got {sd!r}.")
