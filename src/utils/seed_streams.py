"""Random streams: one per seed and purpose, so that losses are compared on the same data, split and shuffles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from src.utils.seeds import PURPOSES, as_list, seeds_problem
from src.utils.validation import check

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SeedStreams:
    """The seeds of the random streams of one member of a stack.

    Attributes:
        seed: The member's own seed, which all streams use that are not pinned.
        data: Seed of the data set.
        split: Seed of the split into training, validation and test samples.
        init: Seed of the initial weights.
        shuffle: Seed of the order of the mini-batches.
        pinned: The purposes whose seeds were given rather than taken from ``seed``.
    """

    seed: int
    data: int
    split: int
    init: int
    shuffle: int
    pinned: tuple[str, ...] = ()

    @property
    def pins(self) -> dict[str, int]:
        """The seeds of the pinned streams by purpose."""
        return {purpose: getattr(self, purpose) for purpose in self.pinned}

    def generator(self, purpose: str) -> "torch.Generator":
        """Return a fresh generator for a purpose; equal seeds of different purposes give unrelated numbers.

        Example:
            >>> import torch
            >>> first, second = (SeedStreams(0, 0, 0, 0, 0).generator("data") for _ in range(2))
            >>> bool(torch.rand(1, generator=first) == torch.rand(1, generator=second))
            True
        """
        import numpy as np  # these take seconds to import, and the validation of settings needs neither
        import torch

        # NumPy splits each number into as many 32-bit words as it needs. The second word of a large seed goes last;
        # otherwise it would take the position that the purpose has for a small seed.
        high, low = divmod(getattr(self, purpose), 2**32)
        entropy = np.random.SeedSequence((low, PURPOSES.index(purpose), high))
        return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]))


def seed_streams(seed: int | Sequence[int], pinned: Mapping[str, int | Sequence[int] | None]) -> list[SeedStreams]:
    """Return the streams of each member of a stack: every seed crossed with every combination of pinned seeds.

    Args:
        seed: The seed, or the seeds.
        pinned: By purpose, one seed or several to cross with the others, or None for the member's own seed.

    Returns:
        The S members, ordered by seed; the seeds of the last pinned purpose vary fastest.

    Raises:
        SettingsError: If a pinned seed is not a whole number of at least 0, or is given twice.

    Example:
        >>> [(member.seed, member.data, member.init) for member in seed_streams([5, 6], {"data": None, "init": [0, 1]})]
        [(5, 5, 0), (5, 5, 1), (6, 6, 0), (6, 6, 1)]
    """
    check(*(seeds_problem(purpose, value) for purpose, value in pinned.items() if value is not None))
    fixed = {purpose: as_list(pinned[purpose]) for purpose in PURPOSES if pinned.get(purpose) is not None}
    return [
        SeedStreams(own, **dict.fromkeys(PURPOSES, own) | dict(zip(fixed, seeds, strict=True)), pinned=tuple(fixed))
        for own, *seeds in product(as_list(seed), *fixed.values())
    ]
