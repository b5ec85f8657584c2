"""Resampling of paired differences: arrays in, numbers out."""

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 9_999  # the observed sample is the ten-thousandth
DECIMALS = 12  # of a difference: float noise shall neither break a tie nor pass for spread
_BATCH = 2**20  # numbers held at a time


def sign_flip(differences: ArrayLike, seed: int = 0) -> tuple[float, bool]:
    """Return the two-sided p value of the sign-flip test, and whether it is exact.

    Where A and B do the same, each difference could as well have had the other sign. The p value is the share of the
    2^n choices of signs whose mean is at least as far from 0 as the one seen: of all of them where they are fewer than
    10,000 (n up to 13), else of that many, 9,999 drawn and the one seen. It needs no normal distribution, but cannot
    be below 2 / 2^n. Differences count to 12 decimals.

    Args:
        differences: The sample, (n,), finite.
        seed: Of the draws.

    Returns:
        The p value, NaN where n < 2; and True if all signs were gone through.
    """
    sample = np.asarray(differences, dtype=float)
    exact = 2 ** len(sample) <= RESAMPLES
    if len(sample) < 2:
        return math.nan, exact
    result = stats.permutation_test(
        (np.rint(sample * 10**DECIMALS),),  # sums of whole numbers are exact, so that ties stay ties
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // len(sample)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue), exact


def bca_interval(differences: ArrayLike, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of a mean (Efron 1987).

    Args:
        differences: The sample, (n,), finite.
        confidence: How often the interval covers, in (0, 1).
        seed: Of the resampling.

    Returns:
        Both ends; NaN where n < 2 or all are equal.
    """
    sample = np.asarray(differences, dtype=float)
    if len(sample) < 2 or np.ptp(sample) == 0:
        return math.nan, math.nan
    with warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning):
        result = stats.bootstrap(
            (sample,),
            np.mean,
            confidence_level=confidence,
            n_resamples=RESAMPLES,
            batch=max(1, _BATCH // len(sample)),
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
