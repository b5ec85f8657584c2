"""Confidence intervals: arrays in, numbers out."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 2_000
# With fewer, a 95% interval covers less than 93.5%, or a skewness cannot be estimated.
MIN_VALUES = {"difference": 3, "P(better)": 4, "interquartile mean": 20}
MIN_FULL_LEVEL = 8  # differences below which their interval is that of half the error rate
_SYMMETRIC = 1e-6  # skewness of a mean from which on Hall's interval differs from Student's by more than rounding
BATCH = 2**20  # random numbers held in memory at a time


def mean_interval(values: ArrayLike, confidence: float = 0.95, overlap: float = 0.0) -> tuple[float, float, float]:
    r"""Return the mean of a sample and Student's t interval around it.

    .. math:: \bar x \pm t_{(1 + confidence) / 2,\, n - 1} \; s \sqrt{1 / n + overlap}

    Args:
        values: The sample, (n,).
        confidence: Coverage of the true mean of a normal distribution, in (0, 1).
        overlap: Of runs that share training samples, the ratio of test to training samples, at least 0 (Nadeau and
            Bengio 2003); 0 for independent runs.

    Returns:
        The mean and both ends; the ends are NaN where n < 2, and all three where n = 0.

    Raises:
        ValueError: If ``confidence`` is outside (0, 1).

    Example:
        >>> mean, low, high = mean_interval([0.70, 0.74, 0.75, 0.73])
        >>> print(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
        0.730 [0.696, 0.764]
    """
    check_range("confidence", confidence)
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return float(sample.mean()) if len(sample) else math.nan, math.nan, math.nan
    mean = float(sample.mean())
    # scipy.special, as the checks of scipy.stats take 100 times as long as these functions.
    quantile = float(special.stdtrit(len(sample) - 1, (1 + confidence) / 2))
    half_width = quantile * float(sample.std(ddof=1)) * math.sqrt(1 / len(sample) + overlap)
    return mean, mean - half_width, mean + half_width


def difference_interval(differences: ArrayLike, confidence: float = 0.95, overlap: float = 0.0) -> tuple[float, float]:
    r"""Return an interval of a mean difference that holds for symmetric and for skewed differences.

    It spans Student's t interval, which covers too rarely where the differences are skewed, and Hall's, which does
    where they are symmetric with heavy tails. Hall (1992) compares Student's quantiles with ``hall_statistic``, which
    grows with t; solved for the mean, with the skewness g of the sample:

    .. math:: \bar x - \frac{3 s}{g}
              \left(\sqrt[3]{1 + \frac{g}{\sqrt n} \left(\pm t - \frac{g}{6 \sqrt n}\right)} - 1\right)

    Args:
        differences: The sample, (n,), finite.
        confidence: Coverage of the true mean, in (0, 1). Below ``MIN_FULL_LEVEL`` differences, whose skewness is
            hardly known, the interval is that of half the error rate.
        overlap: See ``mean_interval``.

    Returns:
        Both ends; NaN where n < 3 or all differences are equal.

    Raises:
        ValueError: If ``confidence`` is outside (0, 1).

    Example:
        >>> low, high = difference_interval([0.1, 0.2, 0.1, 0.4, 0.0, 0.1, 0.2, 0.9])
        >>> print(f"{low:.2f} {high:.2f}")
        0.01 1.07
    """
    sample = np.asarray(differences, dtype=float)
    n = len(sample)
    if n < MIN_VALUES["difference"] or not np.ptp(sample) > 0:
        check_range("confidence", confidence)
        return math.nan, math.nan
    level = confidence if n >= MIN_FULL_LEVEL else (1 + confidence) / 2
    mean, low, high = mean_interval(sample, level, overlap)
    half_width = (high - low) / 2
    t = float(special.stdtrit(n - 1, (1 + level) / 2))
    g = skewness(sample) / math.sqrt(n)
    if abs(g) < _SYMMETRIC:
        return low, high
    lower, upper = (3 / g * (np.cbrt(1 + g * (end - g / 6)) - 1) for end in (-t, t))
    return min(low, mean - upper / t * half_width), max(high, mean - lower / t * half_width)


def hall_statistic(t: float, skewness: float, n: int) -> float:
    r"""Return a t statistic that is transformed to be closer to Student's distribution for a skewed sample (Hall 1992).

    .. math:: t + \frac{g t^2}{3 \sqrt n} + \frac{g^2 t^3}{27 n} + \frac{g}{6 \sqrt n}

    Args:
        t: The statistic.
        skewness: The skewness g of the sample.
        n: The size of the sample.
    """
    g = skewness / math.sqrt(n)
    return t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6


def skewness(values: NDArray[np.floating]) -> float:
    """Return the adjusted Fisher-Pearson skewness of at least three values that are not all equal."""
    # Not scipy.stats.skew(values, bias=False), whose checks take 100 times as long.
    n, deviations = len(values), values - values.mean()
    moments = float((deviations**3).mean()), float((deviations**2).mean())
    return moments[0] / moments[1] ** 1.5 * math.sqrt(n * (n - 1)) / (n - 2)


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a probability (Wilson 1927).

    A tie may count as half a success; the interval is then conservative, as half a success varies less than a whole.

    Args:
        successes: Number of successes, in [0, n].
        n: Number of trials.
        confidence: Coverage, in (0, 1).

    Returns:
        Both ends, in [0, 1]; NaN where n = 0.

    Example:
        >>> low, high = wilson_interval(15.5, 20)
        >>> print(f"{low:.3f} {high:.3f}")
        0.557 0.904
    """
    check_range("confidence", confidence)
    if not 0 <= successes <= n:
        raise ValueError(f"Expected `successes` to be a number in [0, {n}], got {successes!r}.")
    if n == 0:
        return math.nan, math.nan
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def clopper_pearson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a probability (Clopper and Pearson 1934), which covers at any n and probability.

    Args:
        successes: Number of successes, in [0, n].
        n: Number of trials.
        confidence: Least coverage, in (0, 1).

    Returns:
        Both ends, in [0, 1]; NaN where n = 0.

    Example:
        >>> low, high = clopper_pearson_interval(3, 20)
        >>> print(f"{low:.3f} {high:.3f}")
        0.032 0.379
    """
    check_range("confidence", confidence)
    if n == 0:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low = special.betaincinv(successes, n - successes + 1, tail) if successes else 0.0
    high = special.betainccinv(successes + 1, n - successes, tail) if successes < n else 1.0
    return float(low), float(high)


def distribution_band(n: int, confidence: float = 0.95) -> float:
    r"""Return the half-width of a simultaneous band around an empirical distribution function.

    It is the quantile of Kolmogorov's statistic :math:`\sup_x |F_n(x) - F(x)|`, so that a band of this half-width holds
    all of a continuous distribution function F with the given probability, and of any other with at least that.

    Args:
        n: Number of values, at least 1.
        confidence: Coverage, in (0, 1).

    Example:
        >>> print(f"{distribution_band(20):.3f} {distribution_band(100):.3f}")
        0.294 0.134
    """
    check_range("confidence", confidence)
    return float(stats.kstwo.ppf(confidence, n))


def interquartile_mean_interval(
    values: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Return the interquartile mean of a sample and its percentile bootstrap interval (Agarwal et al. 2021).

    The interquartile mean is that of the middle half of the values: a few collapsed seeds do not move it.

    Args:
        values: The sample, (n,), finite.
        confidence: Coverage of the interquartile mean of the distribution, in (0, 1).
        seed: Seed of the resampling.

    Returns:
        The interquartile mean and both ends; the ends are NaN where n < 20, where the bootstrap covers too rarely, or
        all values are equal; all three where n = 0.

    Example:
        >>> mean, low, high = interquartile_mean_interval([0.0, 1.0, 2.0, 100.0])
        >>> mean, low
        (1.5, nan)
    """
    check_range("confidence", confidence)
    sample = np.asarray(values, dtype=float)
    if len(sample) == 0:
        return math.nan, math.nan, math.nan
    center = float(_middle_mean(sample[None])[0])
    if len(sample) < MIN_VALUES["interquartile mean"] or np.ptp(sample) == 0:
        return center, math.nan, math.nan
    generator = np.random.default_rng(seed)
    rows = max(1, BATCH // len(sample))
    means = [
        _middle_mean(generator.choice(sample, (min(rows, RESAMPLES - start), len(sample))))
        for start in range(0, RESAMPLES, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return center, float(low), float(high)


def _middle_mean(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the interquartile mean of each row."""
    n = samples.shape[1]
    cut = n // 4
    ends = [cut, n - cut - 1]
    return np.partition(samples, ends, axis=1)[:, cut : n - cut].mean(axis=1)


def check_range(name: str, value: float, low: float = 0, high: float = 1) -> None:
    """Raise a ValueError unless a number is strictly between two others."""
    if not low < value < high:
        raise ValueError(f"Expected `{name}` to be a number in ({low}, {high}), got {value!r}.")
