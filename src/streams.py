"""Random streams: one per seed and purpose, so that losses are compared on the same data, split and shuffles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from src.checks import check, whole

PURPOSES = ("data", "split", "init", "shuffle")


@dataclass(frozen=True)
class Streams:
    """The seeds of one replicate's random streams.

    Attributes:
        seed: The replicate's own seed, which names its folder.
        data: Seed of the sample.
        split: Seed of the split into training, validation and test points.
        init: Seed of the initial weights.
        shuffle: Seed of the order of the mini-batches.
    """

    seed: int
    data: int
    split: int
    init: int
    shuffle: int

    def generator(self, purpose: str) -> torch.Generator:
        """Return a fresh generator for a purpose; equal seeds of different purposes give unrelated numbers.

        Example:
            >>> first, second = (Streams(0, 0, 0, 0, 0).generator("data") for _ in range(2))
            >>> bool(torch.rand(1, generator=first) == torch.rand(1, generator=second))
            True
        """
        # NumPy cuts each number into 32-bit words, as many as it needs: a large seed's second word goes last, or it
        # would stand where the purpose stands for a small seed.
        high, low = divmod(getattr(self, purpose), 2**32)
        entropy = np.random.SeedSequence((low, PURPOSES.index(purpose), high))
        return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]))


def streams(seeds: Iterable[int], pinned: Mapping[str, int | None]) -> list[Streams]:
    """Return the streams of each seed.

    Args:
        seeds: The seeds S.
        pinned: By purpose, a seed that all replicates share, or None to follow the replicate's own.

    Raises:
        SettingsError: If a pinned seed is neither None nor a whole number of at least 0.
    """
    check(*(whole(name, value, least=0) for name, value in pinned.items() if value is not None))
    fixed = {purpose: value for purpose, value in pinned.items() if value is not None}
    return [Streams(seed=seed, **{purpose: fixed.get(purpose, seed) for purpose in PURPOSES}) for seed in seeds]
