"""Collapse: whether, and since when, a network makes one and the same decision for every training sample."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECIDED_CLASSES = "train/decided_classes"  # metric: how many classes the network decides for on the training samples
COLLAPSE_EPOCH = "train/collapse_epoch"


def collapsed(decided_classes: ArrayLike) -> NDArray[np.floating]:
    """Return whether networks are collapsed: each decides for one class only on all of its training samples.

    Args:
        decided_classes: The metric ``train/decided_classes``, a number or an array; NaN, which is unknown, stays NaN.

    Returns:
        1 for a collapsed network, 0 for another one, NaN where it is unknown.

    Example:
        >>> print(collapsed(np.array([1, 2, float("nan")])))
        [ 1.  0. nan]
    """
    decided = np.asarray(decided_classes, dtype=float)
    return np.where(np.isnan(decided), np.nan, decided == 1)


def collapse_epoch(accuracy: ArrayLike, largest_share: float, count: int) -> int | None:
    r"""Return the first epoch from which the training accuracy stays at that of deciding for the largest class.

    The accuracy of an epoch is measured while the network is trained, and a network without an input may decide for one
    class in one step and for another in the next. Its accuracy is then that of guessing, and counts as that of the
    largest class, with share p of N samples, up to three standard errors above it:

    .. math:: p + 3 \sqrt{p (1 - p) / N}

    Args:
        accuracy: Training accuracy of each epoch, (epochs,).
        largest_share: Share of the largest class among the training samples, p.
        count: Number of training samples, N.

    Returns:
        The epoch, from 1; None where the accuracy of the last epoch is higher, or there is no epoch.

    Example:
        >>> collapse_epoch([0.5, 0.75, 0.5, 0.375, 0.5], largest_share=0.5, count=100)
        3
    """
    limit = largest_share + 3 * math.sqrt(largest_share * (1 - largest_share) / count)
    above = np.asarray(accuracy, dtype=float) > limit
    first = int(np.flatnonzero(above)[-1]) + 2 if above.any() else 1
    return first if first <= len(above) else None
