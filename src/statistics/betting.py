"""Inference on the mean of any distribution on an interval, by betting (Waudby-Smith and Ramdas 2024)."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from src.statistics.intervals import check_range

_HALVINGS = 34  # to 1e-10 of the range
_MAX_STAKE = 0.75  # of the capital, so that no single value can lose it all


def betting_interval(
    values: ArrayLike, low: float, high: float, confidence: float = 0.95, *, anytime: bool = False
) -> tuple[float, float]:
    r"""Return an interval of the mean of any distribution on [low, high], from independent draws.

    A mean m is excluded when a gambler who bets on the values in turn, at odds that are fair if m is the true mean,
    has ever multiplied the capital by 1 / (1 - confidence); Ville's inequality bounds the probability of that. With
    the values scaled to [0, 1], half of the capital is bet on values above m and half on values below:

    .. math:: K_t(m) = \tfrac12 \max\Big(\prod_{i \le t} (1 + \lambda_i (x_i - m)),
        \prod_{i \le t} (1 - \lambda_i (x_i - m))\Big)

    with stakes from the mean and variance of the values before i (equations 26 and 27 of the paper).

    Args:
        values: The draws in the order in which they were made, (n,).
        low: Least possible value.
        high: Largest possible value.
        confidence: Least coverage, in (0, 1).
        anytime: Whether the interval has to hold at every n at once, however n was chosen: a confidence sequence.

    Returns:
        Both ends; low and high where n = 0.

    Raises:
        ValueError: If a value is outside of [low, high] or ``confidence`` outside of (0, 1).

    Example:
        >>> betting_interval([0.5] * 400, -1, 1)[1] - betting_interval([0.5] * 400, -1, 1)[0] < 0.1
        True
    """
    check_range("confidence", confidence)
    x = _unit(values, low, high)
    stakes = _stakes(x, 1 - confidence, anytime=anytime)
    limit = math.log(2 / (1 - confidence))

    def excluded(sign: float) -> Callable[[float], bool]:
        return lambda mean: bool(_log_capital(x, stakes, mean, sign).max(initial=-math.inf) >= limit)

    ends = (
        _last(excluded(1.0), 0.0, float(x.mean()) if len(x) else 0.0),
        _last(excluded(-1.0), 1.0, float(x.mean()) if len(x) else 1.0),
    )
    return low + (high - low) * ends[0], low + (high - low) * ends[1]


def e_value(values: ArrayLike, low: float, high: float, mean: float, confidence: float = 0.95) -> float:
    """Return the evidence against a mean: the capital of the gambler of ``betting_interval`` who bets against it.

    Its expectation is at most 1 if ``mean`` is the true mean, however the number of values was chosen, so that 20 is as
    strong as p = 0.05, and 1 is none.

    Args:
        values: The draws in the order in which they were made, (n,).
        low: Least possible value.
        high: Largest possible value.
        mean: The mean under the null hypothesis, in (low, high).
        confidence: For which the stakes are chosen.
    """
    check_range("mean", mean, low, high)
    x = _unit(values, low, high)
    stakes = _stakes(x, 1 - confidence, anytime=True)
    scaled = (mean - low) / (high - low)
    sides = [math.exp(_log_capital(x, stakes, scaled, sign)[-1]) if len(x) else 1.0 for sign in (1.0, -1.0)]
    return sum(sides) / 2


def _unit(values: ArrayLike, low: float, high: float) -> NDArray[np.floating]:
    sample = np.asarray(values, dtype=float)
    if not ((low <= sample) & (sample <= high)).all():
        raise ValueError(f"Expected `values` to be numbers in [{low:g}, {high:g}], got {sample.min()}, {sample.max()}.")
    return (sample - low) / (high - low)


def _stakes(x: NDArray[np.floating], alpha: float, *, anytime: bool) -> NDArray[np.floating]:
    """Return the stake of each value, which depends on the values before it alone, (n,)."""
    n = len(x)
    index = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(x)) / (index + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (index + 1)
    before = np.concatenate([[0.25], variance[:-1]]) if n else variance
    scale = before * index * np.log(index + 1) if anytime else before * n
    return np.sqrt(2 * math.log(2 / alpha) / scale)


def _log_capital(
    x: NDArray[np.floating], stakes: NDArray[np.floating], mean: float, sign: float
) -> NDArray[np.floating]:
    """Return the logarithm of the capital after each value, (n,), of bets on values above (1) or below (-1) a mean."""
    room = mean if sign > 0 else 1 - mean
    bets = stakes if room == 0 else np.minimum(stakes, _MAX_STAKE / room)
    return np.cumsum(np.log1p(sign * bets * (x - mean)))


def _last(excluded: Callable[[float], bool], end: float, inside: float) -> float:
    """Return the excluded mean that is nearest to one that is not, between them, or ``end`` where it is not excluded.

    The capital of a bet falls from ``end`` to ``inside``, so the excluded means are an interval.
    """
    if not excluded(end):
        return end
    outside = end
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return outside
