"""The DataModule: one data set a seed, all mini-batches of all seeds an epoch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import lightning as L
import pandas as pd
import torch
from torch import Tensor

from src.data.protocols import DataSource
from src.data.tabular import Scaling, Table
from src.utils.seeds import SeedStreams
from src.utils.validation import Problem, check, number, whole

Batch = tuple[Tensor, Tensor]  # x (S, B, D), target (S, B)
BLOCK = 2**14  # points of each seed that are gathered together, so that an epoch is no second copy of much data


@dataclass(frozen=True)
class Split:
    """Points of one split: x (S, N, D), float32, and target (S, N), int64."""

    x: Tensor
    target: Tensor

    def __getitem__(self, seeds: slice) -> "Split":
        return Split(self.x[seeds], self.target[seeds])


class Block(list[Batch]):
    """Mini-batches that follow each other, which Lightning moves to a device as one thing and not tensor by tensor."""

    def to(self, device: torch.device) -> "Block":
        """Return the mini-batches on a device."""
        return Block((x.to(device), target.to(device)) for x, target in self)


class EpochLoader:
    """An iterable over the blocks of mini-batches of an epoch, freshly shuffled for each seed; mostly there is one.

    Args:
        split: The training points.
        generators: One generator a seed; iterating advances them.
        batch_size: Points B of a mini-batch; the last one has what is left.
    """

    def __init__(self, split: Split, generators: Sequence[torch.Generator], batch_size: int) -> None:
        self.split = split
        self.generators = generators
        self.batch_size = batch_size
        self.size = split.target.shape[1]
        self.block = max(1, BLOCK // batch_size) * batch_size

    def __len__(self) -> int:
        return -(-self.size // self.block)

    def __iter__(self) -> Iterator[Block]:
        order = torch.stack([torch.randperm(self.size, generator=generator) for generator in self.generators])  # (S, N)
        seeds = torch.arange(len(order))[:, None]
        for rows in order.split(self.block, dim=1):
            batches = Block()
            whole = rows.shape[1] // self.batch_size * self.batch_size
            for steps in (rows[:, :whole].unflatten(1, (-1, self.batch_size)), rows[:, None, whole:]):
                if steps.numel():
                    steps = steps.transpose(0, 1).contiguous()  # (steps, S, B), so that mini-batches lie together
                    batches += zip(self.split.x[seeds, steps], self.split.target[seeds, steps], strict=True)
            yield batches


class WholeLoader:
    """An iterable over one batch: all points of a split, of all seeds."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.split.x, self.split.target


class StackedDataModule(L.LightningDataModule):
    """Draws S data sets from a distribution, or takes those of a table, and splits each.

    Args:
        distribution: The data-generating distribution, or a table, whose splits are stratified and scaled.
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
        self,
        distribution: DataSource,
        streams: Sequence[SeedStreams],
        *,
        batch_size: int,
        test_fraction: float,
        val_fraction: float,
    ) -> None:
        super().__init__()
        check(
            whole("batch_size", batch_size, least=1, most=2**31),
            number("test_fraction", test_fraction, above=0, below=1),
            number("val_fraction", val_fraction, least=0, below=1),
        )
        self.distribution = distribution
        self.streams = streams
        self.batch_size = batch_size
        self.test_size = round(distribution.size * test_fraction)
        self.val_size = round(distribution.size * val_fraction)
        train_size = distribution.size - self.test_size - self.val_size
        rule = f"a fraction that leaves each split at least one of {distribution.size} points"
        no_test, no_val, no_train = self.test_size < 1, val_fraction > 0 and self.val_size < 1, train_size < 1
        check(
            Problem("val_fraction", rule, val_fraction) if no_val or (no_train and self.val_size) else None,
            Problem("test_fraction", rule, test_fraction) if no_test or no_train else None,
        )
        if isinstance(distribution, Table):
            distribution.check_sizes(self.test_size, self.val_size)

    def setup(self, stage: str | None = None) -> None:
        """Draw and split the data of every seed; the same streams always give the same data."""
        x, target = self.distribution.sample(
            [streams.generator("data") for streams in self.streams]
        )  # (S, N, D), (S, N)
        if not isinstance(self.distribution, Table):
            x = x.float()  # at once, as double precision would take more memory than all the rest
        order = torch.stack([self._order(streams.generator("split")) for streams in self.streams])
        seeds = torch.arange(len(order))[:, None]
        parts = order.split(self._sizes, dim=1)
        if isinstance(self.distribution, Table):
            self.scaling = Scaling(x[seeds, parts[-1]])
            self.test_rows = parts[0]
            x = self.scaling(x).float()
        self.test, self.val, self.train = (Split(x[seeds, part], target[seeds, part]) for part in parts)

    @property
    def _sizes(self) -> list[int]:
        return [self.test_size, self.val_size, self.distribution.size - self.test_size - self.val_size]

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return the points, (N,), in an order that the splits cut."""
        if isinstance(self.distribution, Table):
            return self.distribution.order(self._sizes, generator)
        return torch.randperm(self.distribution.size, generator=generator)

    def test_features(self, index: int) -> pd.DataFrame:
        """Return the features of one seed's test points: a table's as given, a distribution's as x1, x2."""
        if isinstance(self.distribution, Table):
            return self.distribution.rows(self.test_rows[index])
        return pd.DataFrame({f"x{number + 1}": column.numpy() for number, column in enumerate(self.test.x[index].T)})

    def encode(self, features: pd.DataFrame) -> Tensor:
        """Return points given as ``test_features`` as the first seed's network takes them, (N, D), float32.

        Raises:
            SettingsError: If a feature is missing, or is not a finite number where it has to be one.
        """
        if isinstance(self.distribution, Table):
            return self.scaling(torch.from_numpy(self.distribution.frame.encode(features))[None])[0].float()
        names = [f"x{number + 1}" for number in range(self.distribution.features)]
        missing = not set(names) <= set(features.columns)
        rule = f"a CSV file with the columns {', '.join(names)}"
        check(Problem("points", rule, list(features.columns)) if missing else None)
        values = features[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
        x = torch.tensor(values, dtype=torch.float32)
        bad = (~x.isfinite()).any(1).nonzero().flatten().tolist()
        shown = f"row {bad[0] + 1}: {features.iloc[bad[0]].to_dict()}" if bad else ""
        check(Problem("points", "finite numbers", shown) if bad else None)
        return x

    def train_dataloader(self) -> EpochLoader:
        """Return the loader of the mini-batches, a block of them at a time."""
        return EpochLoader(self.train, [streams.generator("shuffle") for streams in self.streams], self.batch_size)

    def val_dataloader(self) -> WholeLoader:
        """Return the loader whose one item is the whole validation split, which may have no points."""
        return WholeLoader(self.val)
