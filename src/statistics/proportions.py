"""Paired proportions: how often A and B do something on the same seeds. Counts in, numbers out."""

import math

from scipy import optimize, special

from src.statistics.intervals import check_range

_EDGE = 1e-9


def mcnemar_test(only_a: int, only_b: int) -> float:
    """Return the two-sided p value of McNemar's exact test that A and B do it equally often.

    Args:
        only_a: Number of pairs in which A alone does it.
        only_b: Number of pairs in which B alone does it.

    Returns:
        The p value of the binomial test of ``only_a`` among both; NaN where both are 0, as there is nothing to test.

    Example:
        >>> mcnemar_test(0, 3)
        0.25
    """
    discordant = only_a + only_b
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), discordant, 0.5))) if discordant else math.nan


def paired_difference_interval(only_a: int, only_b: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Return Tango's score interval of the difference of two paired probabilities, P(A) - P(B) (Tango 1998).

    It is the set of differences d that the score test does not reject,

    .. math:: \frac{(b - c - n d)^2}{n \, (2 \tilde q + d (1 - d))} \le z^2,

    with b and c the pairs in which A or B alone does it, and q the maximum-likelihood estimate of P(B alone) given d.

    Args:
        only_a: Number of pairs in which A alone does it, b.
        only_b: Number of pairs in which B alone does it, c.
        n: Number of pairs.
        confidence: Coverage, in (0, 1).

    Returns:
        Both ends, in [-1, 1]; NaN where n = 0.

    Example:
        >>> low, high = paired_difference_interval(1, 7, 21)
        >>> print(f"{low:.3f} {high:.3f}")
        -0.517 -0.026
    """
    check_range("confidence", confidence)
    if not 0 <= only_a + only_b <= n:
        raise ValueError(f"Expected `n` to be at least {only_a + only_b}, the discordant pairs, got {n!r}.")
    if n == 0:
        return math.nan, math.nan
    z2 = special.ndtri((1 - confidence) / 2) ** 2
    estimate = (only_a - only_b) / n

    def excess(difference: float) -> float:
        b = -only_a - only_b + (2 * n - only_a + only_b) * difference
        root = math.sqrt(max(0.0, b**2 + 8 * n * only_b * difference * (1 - difference)))
        q = (root - b) / (4 * n)
        variance = n * (2 * q + difference * (1 - difference))
        return float((only_a - only_b - n * difference) ** 2 - z2 * variance)

    low = optimize.brentq(excess, -1, estimate - _EDGE) if estimate > -1 else -1.0
    high = optimize.brentq(excess, estimate + _EDGE, 1) if estimate < 1 else 1.0
    return float(low), float(high)
