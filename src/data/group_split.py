"""Splits that keep groups of samples together, with the same sizes for all seeds, as these train together."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from src.utils.validation import Problem, SettingsError, check

_MAX_TRIES = 1000  # random orders of the groups, until every split has every class
_FOLD_TRIES = 20  # of these for each size of a fold
_MIN_TESTED = 0.9  # share of the samples that folds of one size have together


def reachable_size(counts: Sequence[int], size: int) -> int:
    """Return the number of samples nearest to a size that some whole groups have together; at least one group is left.

    Args:
        counts: Samples of each group, at least two groups.
        size: The size that is asked for.

    Example:
        >>> reachable_size([4, 4, 4], 5), reachable_size([4, 2, 1], 5), reachable_size([1] * 9, 5)
        (4, 5, 5)
    """
    sums = 1  # bit k is set where some groups have k samples together
    for count in counts:
        sums |= sums << count
    total = sum(counts)
    reached = (other for step in range(total) for other in (size - step, size + step) if 0 < other < total)
    return next(other for other in reached if sums >> other & 1)


def group_order(
    groups: NDArray[np.int64], target: NDArray[np.int64], sizes: Sequence[int], generator: Generator
) -> Tensor:
    """Return a random permutation (N,) of samples whose consecutive parts share no group and have every class.

    Args:
        groups: The group of each sample, (N,), in [0, G).
        target: The class of each sample, (N,), in [0, C).
        sizes: The sizes of the parts; a part of no samples is left out, and samples beyond them come last.
        generator: The random stream.

    Raises:
        SettingsError: If a thousand random orders of the groups do not give such parts.
    """
    for _ in range(_MAX_TRIES):
        parts = _parts(groups, target, sizes, generator)
        if parts is not None:
            return torch.cat([torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)] for rows in parts])
    rule = "a column whose groups can be split so that every split has every class"
    counts = np.bincount(groups)
    raise SettingsError(Problem("groups", rule, f"{len(counts)} groups of {counts.min()} to {counts.max()} samples"))


def group_fold_size(groups: NDArray[np.int64], target: NDArray[np.int64], folds: int) -> int:
    """Return the largest size, at most N // folds, that each of some folds of whole groups can have.

    scikit-learn's GroupKFold makes folds of different sizes, which cannot train together.

    Args:
        groups: The group of each sample, (N,), in [0, G).
        target: The class of each sample, (N,), in [0, C).
        folds: Number of folds.

    Raises:
        SettingsError: If a class is in fewer groups, or if folds of one size leave out a tenth of the samples.
    """
    rarest = min(len(np.unique(groups[target == label])) for label in np.unique(target))
    rule = f"at most {rarest}, as a class is in {rarest} groups of data.groups"
    check(Problem("folds", rule, folds) if rarest < folds else None)
    generator = torch.Generator().manual_seed(0)
    largest, smallest = len(groups) // folds, math.ceil(_MIN_TESTED * len(groups) / folds)
    for size in range(largest, smallest - 1, -1):
        if any(_parts(groups, target, [size] * folds, generator) for _ in range(_FOLD_TRIES)):
            return size
    rule = f"a number for which whole groups make folds of one size, with {_MIN_TESTED:.0%} of the samples in them"
    raise SettingsError(Problem("folds", rule, folds))


def _parts(
    groups: NDArray[np.int64], target: NDArray[np.int64], sizes: Sequence[int], generator: Generator
) -> list[NDArray[np.int64]] | None:
    """Return the samples of parts of these sizes, and those of no part, or None if a random order gives none."""
    counts, classes = np.bincount(groups), np.unique(target)
    order = torch.randperm(len(counts), generator=generator).tolist()
    part_of = np.full(len(counts), len(sizes))
    for part, size in enumerate(sizes):
        left = [group for group in order if part_of[group] == len(sizes)]
        taken = _take(counts, left, size)
        if taken is None:
            return None
        part_of[taken] = part
    parts = [np.flatnonzero(part_of[groups] == part) for part in range(len(sizes) + 1)]
    good = all(np.array_equal(np.unique(target[rows]), classes) for rows in parts[:-1] if len(rows))
    return parts if good else None


def _take(counts: NDArray[np.int64], order: Sequence[int], size: int) -> list[int] | None:
    """Return groups that have a number of samples together, early ones in an order first, or None if none have."""
    if counts[order].sum() == size:
        return list(order)
    sums = [1]  # bit k of the n-th is set where some of the first n groups have k samples together
    mask = (1 << (size + 1)) - 1
    for group in order:
        if sums[-1] >> size & 1:
            break
        sums.append((sums[-1] | sums[-1] << int(counts[group])) & mask)
    if not sums[-1] >> size & 1:
        return None
    taken, missing = [], size
    for known, group in reversed(list(zip(sums[:-1], order, strict=False))):
        if not known >> missing & 1:
            taken.append(group)
            missing -= int(counts[group])
    return taken
