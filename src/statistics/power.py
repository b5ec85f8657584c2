"""How many seeds a comparison needs: numbers in, numbers out."""

import math

from scipy import stats
from scipy.special import ndtri, stdtrit

from src.statistics.paired import check_range

MOST_SEEDS = 2**53  # beyond, floats skip whole numbers
_LARGEST_SHIFT = 1e9  # scipy's noncentral t gives NaN from 1e10 on


def paired_power(difference: float, sd: float, n: int, alpha: float = 0.05) -> float:
    r"""Return the probability that the two-sided paired t test rejects.

    .. math:: P(|T| > t_{1 - \alpha / 2,\, n - 1}), \quad T \sim t_{n - 1}(\sqrt n \; |difference| / sd)

    T has the noncentral t distribution, as the test's statistic does when the differences are normal (Cohen 1988).
    At the difference that the very same seeds showed it says no more than their p value does (Hoenig and Heisey
    2001): about one half where p = alpha. At a difference fixed beforehand it tells what the study could have seen.

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
    shift = min(math.sqrt(n) * (abs(difference) / sd), _LARGEST_SHIFT)
    critical = float(stdtrit(n - 1, 1 - alpha / 2))
    tails = float(stats.nct.sf(critical, n - 1, shift)), float(stats.nct.cdf(-critical, n - 1, shift))
    return min(1.0, sum(tail for tail in tails if not math.isnan(tail)))  # NaN where it is below the smallest float


def seeds_needed(difference: float, sd: float, power: float, alpha: float = 0.05) -> int | None:
    """Return the least number of pairs, at least 2, for which ``paired_power`` reaches some power.

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
    check_range("power", power, 0)
    if difference == 0 or math.isnan(difference) or math.isnan(sd):
        return None
    enough = 2
    while paired_power(difference, sd, enough, alpha) < power:
        enough *= 2
        if enough > MOST_SEEDS:
            return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if paired_power(difference, sd, middle, alpha) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def noether(gamma: float, alpha: float = 0.05, beta: float = 0.05) -> int:
    r"""Return the number of seeds that tell P(A > B) = gamma from 1/2 (Noether 1987).

    .. math:: n = \lceil \left( \frac{z_{1 - \alpha} + z_{1 - \beta}}{\sqrt 6 \, (\gamma - 1/2)} \right)^2 \rceil

    The convention is that of Bouthillier et al. 2021: a one-sided test at alpha that misses with probability beta, and
    n runs *each* of A and B that are not paired (Mann-Whitney). For the sign test of n pairs Noether has 2 in the place
    of sqrt(6), which asks for half as many again: 44 where this says 29.

    Args:
        gamma: P(A > B) to detect, in (0.5, 1).
        alpha: Rate of false positives, in (0, 1).
        beta: Rate of false negatives, in (0, 1).

    Example:
        >>> noether(0.75)
        29
    """
    check_range("gamma", gamma, 0.5)
    check_range("alpha", alpha, 0)
    check_range("beta", beta, 0)
    reach = float(ndtri(1 - alpha) + ndtri(1 - beta))
    return max(1, math.ceil((reach / (math.sqrt(6) * (gamma - 0.5))) ** 2))


def _check_test(sd: float, alpha: float) -> None:
    check_range("alpha", alpha, 0)
    if sd < 0:
        raise ValueError(f"Expected `sd` to be a number of at least 0, got {sd!r}.")
