"""The DataModule: one data set a seed, all mini-batches of all seeds an epoch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import lightning as L
import torch
from torch import Tensor

from src.checks import Problem, check, number, whole
from src.data.law import Law
from src.streams import Streams

Batch = tuple[Tensor, Tensor]  # x (S, B, D), target (S, B)


@dataclass(frozen=True)
class Split:
    """Points of one split: x (S, N, D), float32, and target (S, N), int64."""

    x: Tensor
    target: Tensor

    def __getitem__(self, seeds: slice) -> "Split":
        return Split(self.x[seeds], self.target[seeds])


class EpochLoader:
    """An iterable over one block: all mini-batches of an epoch, freshly shuffled for each seed.

    Args:
        split: The training points.
        generators: One generator a seed; iterating advances them.
        batch_size: Points B of a mini-batch; the last one has what is left.
    """

    def __init__(self, split: Split, generators: Sequence[torch.Generator], batch_size: int) -> None:
        self.split = split
        self.generators = generators
        self.batch_size = batch_size

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[list[Batch]]:
        size = self.split.target.shape[1]
        order = torch.stack([torch.randperm(size, generator=generator) for generator in self.generators])  # (S, N)
        seeds = torch.arange(len(order))[:, None]
        x, target = self.split.x[seeds, order], self.split.target[seeds, order]
        yield list(zip(x.split(self.batch_size, dim=1), target.split(self.batch_size, dim=1), strict=True))


class WholeLoader:
    """An iterable over one batch: all points of a split, of all seeds."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.split.x, self.split.target


class SeedDataModule(L.LightningDataModule):
    """Draws S data sets from a law and splits each.

    Args:
        law: The data-generating distribution.
        streams: The random streams of each seed.
        batch_size: Points B of a mini-batch, at least 1.
        test_fraction: Share of a sample that is held out for testing, in (0, 1).
        val_fraction: Share held out for validation, in [0, 1); 0 for none.

    Raises:
        SettingsError: If an argument is out of its range, or a split would have no points.
    """

    train: Split
    val: Split
    test: Split

    def __init__(
        self, law: Law, streams: Sequence[Streams], *, batch_size: int, test_fraction: float, val_fraction: float
    ) -> None:
        super().__init__()
        check(
            whole("batch_size", batch_size, least=1),
            number("test_fraction", test_fraction, above=0, below=1),
            number("val_fraction", val_fraction, least=0, below=1),
        )
        self.law = law
        self.streams = streams
        self.batch_size = batch_size
        self.test_size = round(law.size * test_fraction)
        self.val_size = round(law.size * val_fraction)
        train_size = law.size - self.test_size - self.val_size
        rule = f"a fraction that leaves each split at least one of {law.size} points"
        no_test, no_val, no_train = self.test_size < 1, val_fraction > 0 and self.val_size < 1, train_size < 1
        check(
            Problem("test_fraction", rule, test_fraction) if no_test or no_train else None,
            Problem("val_fraction", rule, val_fraction) if no_val or (no_train and self.val_size) else None,
        )

    def setup(self, stage: str | None = None) -> None:
        """Draw and split the data of every seed; the same streams always give the same data."""
        x, target = self.law.sample([streams.generator("data") for streams in self.streams])  # (S, N, D), (S, N)
        generators = [streams.generator("split") for streams in self.streams]
        order = torch.stack([torch.randperm(self.law.size, generator=generator) for generator in generators])
        seeds = torch.arange(len(order))[:, None]
        sizes = [self.test_size, self.val_size, self.law.size - self.test_size - self.val_size]
        self.test, self.val, self.train = (
            Split(x[seeds, part].float(), target[seeds, part]) for part in order.split(sizes, dim=1)
        )

    def train_dataloader(self) -> EpochLoader:
        """Return the loader whose one item an epoch is the list of all mini-batches."""
        return EpochLoader(self.train, [streams.generator("shuffle") for streams in self.streams], self.batch_size)

    def val_dataloader(self) -> WholeLoader:
        """Return the loader whose one item is the whole validation split, which may have no points."""
        return WholeLoader(self.val)
