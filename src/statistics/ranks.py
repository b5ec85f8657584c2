"""Average ranks of several treatments over blocks, as losses over data sets: arrays in, numbers out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from src.statistics.intervals import check_range


@dataclass(frozen=True)
class AverageRanks:
    """Average ranks.

    Attributes:
        ranks: Average rank of each treatment over the blocks, (k,): 1 is the best.
        p: p value of Friedman's test that all treatments are alike.
        critical_difference: Average ranks that differ by at least that are different by Nemenyi's test.
    """

    ranks: NDArray[np.floating]
    p: float
    critical_difference: float


def average_ranks(values: ArrayLike, alpha: float = 0.05) -> AverageRanks:
    r"""Compare treatments by their ranks in each block (Demsar 2006).

    .. math:: CD = q_{\alpha, k} \sqrt{k (k + 1) / (6 N)}

    with q the quantile of the studentized range of k treatments, over the square root of 2.

    Args:
        values: One row per block and one column per treatment, (N, k), larger is better; ties share their mean rank.
        alpha: Error rate of Nemenyi's test over all pairs, in (0, 1).

    Raises:
        ValueError: If there are fewer than 2 blocks or 3 treatments, or a value is missing.

    Example:
        >>> found = average_ranks([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.8, 0.9, 0.7]])
        >>> print(found.ranks.round(2), f"{found.p:.3f} {found.critical_difference:.2f}")
        [1.33 1.67 3.  ] 0.097 1.91
    """
    check_range("alpha", alpha)
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3 or not np.isfinite(table).all():
        raise ValueError(f"Expected `values` to be numbers of 2 or more blocks and 3 or more treatments, got {table}.")
    blocks, treatments = table.shape
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    p = 1.0 if np.ptp(table, axis=1).max() == 0 else float(stats.friedmanchisquare(*table.T).pvalue)
    quantile = float(stats.studentized_range.ppf(1 - alpha, treatments, np.inf)) / math.sqrt(2)
    return AverageRanks(ranks, p, quantile * math.sqrt(treatments * (treatments + 1) / (6 * blocks)))
