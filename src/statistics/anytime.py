"""Evidence that holds at every number of observations, however that number was chosen. Arrays in, numbers out.

An e-value is at least 0 and its expectation at most 1 without a difference, also at a random stopping time, so that
min(1, 1 / e) is a p value there (Ramdas, Gruenwald, Vovk and Shafer 2023).
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from src.statistics.intervals import check_range


def sign_e_value(wins: int, losses: int) -> float:
    """Return the evidence that two probabilities of discordant pairs differ.

    It is the likelihood of the pairs under a probability from Jeffreys' prior Beta(1/2, 1/2), over that under 1/2.

    Args:
        wins: Pairs in which A alone does it.
        losses: Pairs in which B alone does it.

    Example:
        >>> print(f"{sign_e_value(0, 0):.1f} {sign_e_value(0, 10):.1f}")
        1.0 180.4
    """
    return math.exp(betaln(wins + 0.5, losses + 0.5) - betaln(0.5, 0.5) + (wins + losses) * math.log(2))


def t_e_value(differences: ArrayLike) -> float:
    r"""Return the evidence that the mean of a normal sample of unknown variance is not 0.

    It is the Bayes factor with the prior N(0, 1) of the effect size and the right Haar prior of the variance, with t
    Student's statistic of n values, nu = n - 1 and r = 1 + n:

    .. math:: e = r^{-1/2} \left( \frac{1 + t^2 / \nu}{1 + t^2 / (r \nu)} \right)^{(\nu + 1) / 2}

    (Rouder et al. 2009, equation 1 at a fixed scale; an e-value under every stopping rule by Hendriksen, de Heide and
    Gruenwald 2021).

    Args:
        differences: The sample, (n,), finite.

    Returns:
        The e-value; 1 where n < 2 or all are 0; NaN where all are equal but not 0.
    """
    sample = np.asarray(differences, dtype=float)
    n = len(sample)
    if n < 2 or not sample.any():
        return 1.0
    if np.ptp(sample) == 0:
        return math.nan
    squared = n * sample.mean() ** 2 / sample.var(ddof=1)
    ratio = math.log1p(squared / (n - 1)) - math.log1p(squared / ((n - 1) * (1 + n)))
    return math.exp(min(700.0, n / 2 * ratio - math.log(1 + n) / 2))


def t_confidence_sequence(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the means that ``t_e_value`` does not exclude: intervals that all hold at once for n = 2, 3, ...

    Args:
        values: The sample, (n,), finite.
        confidence: Coverage at all n at once, in (0, 1).

    Returns:
        Both ends; NaN where n < 2, all values are equal, or n is too small to exclude any mean.
    """
    check_range("confidence", confidence)
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if n < 2 or np.ptp(sample) == 0:
        return math.nan, math.nan
    growth = (math.sqrt(1 + n) / (1 - confidence)) ** (2 / n)
    if growth >= 1 + n:
        return math.nan, math.nan
    t = math.sqrt((n - 1) * (growth - 1) / (1 - growth / (1 + n)))
    half_width = t * float(sample.std(ddof=1)) / math.sqrt(n)
    return float(sample.mean()) - half_width, float(sample.mean()) + half_width
