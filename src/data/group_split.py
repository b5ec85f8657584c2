"""Splits that keep groups of samples together, with the same sizes for all seeds, as these train together."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from src.utils.validation import Problem, SettingsError

_MAX_TRIES = 1000  # random orders of the groups, until every split has every class


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
        sizes: The sizes of the parts, which sum to N; a part of no samples is left out.
        generator: The random stream.

    Raises:
        SettingsError: If a thousand random orders of the groups do not give such parts.
    """
    counts, classes = np.bincount(groups), np.unique(target)
    for _ in range(_MAX_TRIES):
        order = torch.randperm(len(counts), generator=generator).tolist()
        part_of = np.full(len(counts), len(sizes) - 1)
        for part, size in enumerate(sizes[:-1]):
            left = [group for group in order if part_of[group] == len(sizes) - 1]
            taken = _take(counts, left, size) if size else []
            if taken is None:
                break
            part_of[taken] = part
        else:
            parts = [np.flatnonzero(part_of[groups] == part) for part in range(len(sizes))]
            if all(np.array_equal(np.unique(target[rows]), classes) for rows in parts if len(rows)):
                shuffled = [torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)] for rows in parts]
                return torch.cat(shuffled)
    rule = "a column whose groups can be split so that every split has every class"
    raise SettingsError(Problem("groups", rule, f"{len(counts)} groups of {counts.min()} to {counts.max()} samples"))


def _take(counts: NDArray[np.int64], order: Sequence[int], size: int) -> list[int] | None:
    """Return groups that have a number of samples together, early ones in an order first, or None if none have."""
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
