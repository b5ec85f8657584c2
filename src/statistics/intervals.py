"""Confidence intervals: arrays in, numbers out."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    r"""Return the mean of a sample and Student's t interval around it.

    .. math:: \bar x \pm t_{(1 + confidence) / 2,\, n - 1} \; s / \sqrt n

    Args:
        values: The sample, (n,).
        confidence: How often the interval covers the true mean of a normal distribution, in (0, 1).

    Returns:
        The mean and both ends; the ends are NaN where n < 2, and all three where n = 0.

    Raises:
        ValueError: If ``confidence`` is outside (0, 1).

    Example:
        >>> mean, low, high = mean_interval([0.70, 0.74, 0.75, 0.73])
        >>> print(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
        0.730 [0.696, 0.764]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be a number in (0, 1), got {confidence!r}.")
    sample = np.asarray(values, dtype=float)
    if len(sample) == 0:
        return math.nan, math.nan, math.nan
    mean = float(sample.mean())
    if len(sample) == 1:
        return mean, math.nan, math.nan
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    reach = float(student_t.ppf((1 + confidence) / 2, len(sample) - 1)) * error
    return mean, mean - reach, mean + reach
