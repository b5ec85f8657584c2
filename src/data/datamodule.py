"""The LightningDataModule of a stack: one data set per seed, and mini-batches that hold samples of every seed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import lightning as L
import pandas as pd
import torch
from torch import Tensor

from src.data.batches import stratified_order
from src.data.protocols import MAX_BLOCK, DataSource, SeedPreprocessing
from src.utils.seed_streams import SeedStreams
from src.utils.validation import Problem, check, choice, flag, number, whole

Batch = tuple[Tensor, Tensor]  # x (S, B, D), target (S, B)
MAX_INPUTS = 2**28  # bytes of the inputs of all seeds, beyond which those of a table are made block by block


class Split:
    """Samples of one split: x (S, N, D), float32, and target (S, N), int64."""

    def __init__(self, x: Tensor, target: Tensor) -> None:
        self._x = x
        self.target = target
        self._starts = torch.arange(len(target))[:, None] * target.shape[1]  # of each seed in the samples of all

    @property
    def x(self) -> Tensor:
        """The inputs of the networks, (S, N, D)."""
        return self._x

    def __getitem__(self, seeds: slice) -> "Split":
        """Return the split of some seeds of the stack."""
        return Split(self._x[seeds], self.target[seeds])

    def take(self, rows: Tensor) -> Batch:
        """Return x (steps, S, B, D) and target (steps, S, B) of some samples, given by their rows (steps, S, B)."""
        at = (rows + self._starts).view(-1)
        x, target = (part.flatten(0, 1).index_select(0, at) for part in (self._x, self.target))
        return x.view(*rows.shape, -1), target.view(rows.shape)


class SharedSplit(Split):
    """Samples of one split of a large table, which all seeds share; inputs are made when they are asked for.

    Args:
        samples: All samples of the table, as every seed has them, (S, N, K).
        targets: Their classes, (S, N).
        rows: The samples of the split, (S, n).
        preprocessing: Makes inputs of the networks from samples of each seed.
        features: Number of inputs D.
    """

    def __init__(
        self, samples: Tensor, targets: Tensor, rows: Tensor, preprocessing: SeedPreprocessing, features: int
    ) -> None:
        self.samples = samples
        self.targets = targets
        self.rows = rows
        self.preprocessing = preprocessing
        self.features = features
        self.target = targets.gather(1, rows)

    @property
    def x(self) -> Tensor:
        """The inputs of the networks, (S, n, D), made anew."""
        return self._inputs(self.rows)

    def __getitem__(self, seeds: slice) -> "SharedSplit":
        """Return the split of some seeds of the stack."""
        own = self.preprocessing[seeds]
        return SharedSplit(self.samples[seeds], self.targets[seeds], self.rows[seeds], own, self.features)

    def take(self, rows: Tensor) -> Batch:
        """Return x (steps, S, B, D) and target (steps, S, B) of some samples, given by their rows (steps, S, B)."""
        seeds = torch.arange(len(self.rows))[:, None]
        chosen = self.rows[seeds, rows].transpose(0, 1)  # (S, steps, B)
        x = self._inputs(chosen.flatten(1)).unflatten(1, chosen.shape[1:])
        return x.transpose(0, 1).contiguous(), self.target[seeds, rows]

    def _inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of some samples, (S, n) -> (S, n, D), seed by seed and block by block."""
        inputs = torch.empty(*rows.shape, self.features)
        for index, mine in enumerate(rows):
            own, samples = self.preprocessing[index : index + 1], self.samples[index]
            for place, block in zip(inputs[index].split(MAX_BLOCK), mine.split(MAX_BLOCK), strict=True):
                place.copy_(own(samples[block][None])[0])
        return inputs


class Block(list[Batch]):
    """Consecutive mini-batches: of those of one size x (steps, S, B, D) and target (steps, S, B), then of the others.

    Lightning moves it to a device by one call rather than tensor by tensor.
    """

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> "Block":
        """Return mini-batches, each (S, B, D) and (S, B), as a block."""
        return cls((x[None], target[None]) for x, target in batches)

    def mini_batches(self) -> Iterator[Batch]:
        """Yield the mini-batches one by one, x (S, B, D) and target (S, B)."""
        for x, target in self:
            yield from zip(x, target, strict=True)

    def to(self, device: torch.device) -> "Block":
        """Return the mini-batches on a device."""
        return Block((x.to(device), target.to(device)) for x, target in self)


class EpochLoader:
    """An iterable over the blocks of mini-batches of an epoch, shuffled anew for each seed; small data are one block.

    Args:
        split: The training samples.
        generators: One generator per seed; iterating advances them.
        batch_size: Samples B of a mini-batch; the last one has what is left.
        max_steps: Mini-batches of a block at most; None for as many as ``MAX_BLOCK`` samples are.
        multiple: Of which number of mini-batches a block is a multiple, except the last.
        stratified: Whether each mini-batch has the shares of the classes, see ``stratified_order``.
    """

    def __init__(
        self,
        split: Split,
        generators: Sequence[torch.Generator],
        batch_size: int,
        max_steps: int | None = None,
        multiple: int = 1,
        stratified: bool = False,
    ) -> None:
        self.split = split
        self.generators = generators
        self.batch_size = batch_size
        self.stratified = stratified
        self.size = split.target.shape[1]
        self.block = max(1, (max_steps or MAX_BLOCK // batch_size) // multiple) * multiple * batch_size

    def __len__(self) -> int:
        return -(-self.size // self.block)

    def __iter__(self) -> Iterator[Block]:
        order = self._order()
        for rows in order.split(self.block, dim=1):
            block = Block()
            whole = rows.shape[1] // self.batch_size * self.batch_size
            for steps in (rows[:, :whole].view(len(rows), -1, self.batch_size), rows[:, None, whole:]):
                if steps.numel():
                    steps = steps.transpose(0, 1).contiguous()  # (steps, S, B), so that each mini-batch is contiguous
                    block.append(self.split.take(steps))
            yield block

    def _order(self) -> Tensor:
        """Return the order of the samples of each seed in an epoch, (S, N)."""
        if self.stratified:
            pairs = zip(self.split.target, self.generators, strict=True)
            return torch.stack([stratified_order(target, self.batch_size, generator) for target, generator in pairs])
        return torch.stack([torch.randperm(self.size, generator=generator) for generator in self.generators])


class WholeLoader:
    """An iterable over one batch: all samples of a split, of all seeds."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.split.x, self.split.target


class StackedDataModule(L.LightningDataModule):
    """Draws one data set per seed from a source and splits each into training, validation and test samples.

    Args:
        source: The distribution or table.
        streams: The random streams of each seed.
        batch_size: Samples B of a mini-batch, at least 1.
        test_fraction: Share of a data set that is held out for testing, in (0, 1); None where the data say which.
        val_fraction: Share held out for validation, in [0, 1); 0 for none.
        split: How it is split, one of ``source.splits``.
        folds: Number of folds of ``kfold``, at least 2: a seed s tests on fold s % folds of the repeat s // folds.
        stratified_batches: Whether each mini-batch has the shares of the classes, as far as counts allow.
        class_weights: ``none``, ``balanced`` by the training samples of each seed, or a list with one per class.
        steps_per_block: Mini-batches that one batch of the loader has at most; None for as many as are fastest.
        accumulated: Mini-batches for one step of the optimizer, which are in one block.
        overfit_batches: Mini-batches, or as a float their share, that are all there is to train on; 0 for all.

    Raises:
        SettingsError: If an argument is out of its range, or a split would be empty.
    """

    train: Split
    val: Split
    test: Split

    def __init__(
        self,
        source: DataSource,
        streams: Sequence[SeedStreams],
        *,
        batch_size: int,
        test_fraction: float | None,
        val_fraction: float,
        split: str = "stratified",
        folds: int | None = None,
        stratified_batches: bool = False,
        class_weights: str | Sequence[float] = "none",
        steps_per_block: int | None = None,
        accumulated: int = 1,
        overfit_batches: float = 0,
    ) -> None:
        super().__init__()
        check(
            whole("batch_size", batch_size, min_value=1, max_value=2**31),
            _split_problem(split, source.splits),
            _test_problem(split, test_fraction),
            _folds_problem(split, folds, source.size),
            number("val_fraction", val_fraction, min_value=0, below=1),
            flag("stratified_batches", stratified_batches),
            _weights_problem(class_weights, source.classes),
        )
        self.source = source
        self.streams = streams
        self.batch_size = batch_size
        self.split = split
        self.folds = folds
        self.stratified_batches = stratified_batches
        self.class_weights = class_weights
        self.steps_per_block = steps_per_block
        self.accumulated = accumulated
        self.overfit_batches = overfit_batches
        self.generators: list[torch.Generator] = []  # of the shuffles of the training
        self._restored: list[Tensor] = []  # states of the shuffles, from a checkpoint
        test_size, val_size = round(source.size * (test_fraction or 0)), round(source.size * val_fraction)
        test_size, val_size = source.split_sizes(test_size, val_size, split, folds)
        train_size = source.size - test_size - val_size
        self.sizes = (test_size, val_size, train_size)
        rule = f"a fraction that leaves each split at least one of {source.size} samples"
        no_test, no_val, no_train = test_size < 1, val_fraction > 0 and val_size < 1, train_size < 1
        check(
            Problem("val_fraction", rule, val_fraction) if no_val or (no_train and val_size) else None,
            Problem("test_fraction", rule, test_fraction) if no_test or no_train else None,
        )
        source.check_split(test_size, val_size)

    @property
    def steps_per_epoch(self) -> int:
        """The number of mini-batches of an epoch."""
        return -(-self.train_size // self.batch_size)

    @property
    def train_size(self) -> int:
        """The number of samples to train on."""
        size = self.sizes[2]
        if not self.overfit_batches:
            return size
        kept = self.overfit_batches
        batches = kept if isinstance(kept, int) else max(1, int(kept * -(-size // self.batch_size)))
        return min(size, batches * self.batch_size)

    def setup(self, stage: str | None = None) -> None:
        """Draw, split and preprocess the data of every seed; the same streams always give the same data."""
        x, target = self.source.sample([streams.generator("data") for streams in self.streams])  # (S, N, D), (S, N)
        order = torch.stack([self._order(streams) for streams in self.streams])  # (S, N)
        test, val, train = order.split(list(self.sizes), dim=1)
        self.test_indices = test  # (S, n)
        train = train[:, : self.train_size]
        self.indices = train, val, test  # (S, n) each
        self.preprocessing = self.source.preprocessing(x, train)
        if isinstance(self.preprocessing, SeedPreprocessing):
            features = self.source.features
            splits = [SharedSplit(x, target, part, self.preprocessing, features) for part in (test, val, train)]
            large = 4 * target.numel() * features > MAX_INPUTS
            self.test, self.val, self.train = splits if large else [Split(each.x, each.target) for each in splits]
        else:
            x = self.preprocessing(x)  # in place of the samples in double precision, which take twice the memory
            seeds = torch.arange(len(order))[:, None]
            self.test, self.val, self.train = (
                Split(x[seeds, part], target[seeds, part]) for part in (test, val, train)
            )

    def _order(self, streams: SeedStreams) -> Tensor:
        """Return the permutation (N,) of a seed: its test, validation and training samples."""
        fold = None
        if self.folds is not None:
            repeat, number = divmod(streams.split, self.folds)
            streams, fold = replace(streams, split=repeat), (number, self.folds)
        return self.source.split_order(self.sizes, streams.generator("split"), self.split, fold)

    def weights(self) -> Tensor:
        """Return the weight of each class in the training of each seed, (S, C), once the data are set up."""
        target = self.train.target
        if self.class_weights != "balanced":
            return torch.tensor(self.class_weights).float().expand(len(target), -1)
        counts = torch.nn.functional.one_hot(target, self.source.classes).sum(1)  # (S, C)
        return target.shape[1] / (self.source.classes * counts.clamp(min=1)).float()

    def test_features(self, index: int) -> pd.DataFrame:
        """Return the features of the test samples of the seed at an index of the stack, as the source names them."""
        return self.source.feature_frame(self.test[index : index + 1].x[0], self.test_indices[index])

    def encode(self, features: pd.DataFrame) -> Tensor:
        """Return samples given as ``test_features`` as inputs of the first seed's network, (n, D), float32.

        Raises:
            SettingsError: If a feature is missing or has an invalid value.
        """
        return self.preprocessing(self.source.encode(features)[None])[0]

    def train_dataloader(self) -> EpochLoader:
        """Return the loader of the mini-batches, one block of them at a time."""
        self.generators = [streams.generator("shuffle") for streams in self.streams]
        restored, self._restored = self._restored, []
        for generator, state in zip(self.generators, restored, strict=False):  # mostly there are none
            generator.set_state(state)
        return EpochLoader(
            self.train,
            self.generators,
            self.batch_size,
            self.steps_per_block,
            self.accumulated,
            self.stratified_batches,
        )

    def val_dataloader(self) -> WholeLoader | list[Any]:
        """Return the loader whose one item is the whole validation split, or no loader where there is none."""
        return WholeLoader(self.val) if self.val.target.numel() else []

    def test_dataloader(self) -> WholeLoader:
        """Return the loader whose one item is the whole test split."""
        return WholeLoader(self.test)

    def predict_dataloader(self) -> WholeLoader:
        """Return the loader of the samples to predict, which are those of the test split."""
        return WholeLoader(self.test)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the shuffles, which a checkpoint has to have."""
        return {"shuffle": [generator.get_state() for generator in self.generators]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training continue the shuffles of a checkpoint."""
        self._restored = state_dict["shuffle"]


def _split_problem(split: Any, splits: Sequence[str]) -> Problem | None:
    """Return a problem unless the samples can be split so; those of a distribution are drawn anew for each seed."""
    if split not in splits and len(splits) == 1:
        return Problem("split", f"{splits[0]} for these data, as the other splits are of the rows of a table", split)
    return choice("split", split, splits)


def _test_problem(split: str, test_fraction: Any) -> Problem | None:
    """Return a problem unless the share of the test samples is given where it decides, and only there."""
    if split not in ("column", "file", "kfold"):
        return number("test_fraction", test_fraction, above=0, below=1)
    rule = f"null with split={split}, which decides about the test samples"
    return None if test_fraction is None else Problem("test_fraction", rule, test_fraction)


def _folds_problem(split: str, folds: Any, size: int) -> Problem | None:
    """Return a problem unless the number of folds is given with ``kfold``, and only there."""
    if split == "kfold":
        return whole("folds", folds, min_value=2, max_value=size)
    return None if folds is None else Problem("folds", f"null with split={split}", folds)


def _weights_problem(value: Any, classes: int) -> Problem | None:
    """Return a problem unless class weights are ``none``, ``balanced`` or a positive number for every class."""
    listed = isinstance(value, list | tuple) and len(value) == classes
    good = value in ("none", "balanced") or (
        listed and all(number("", each, above=0, below=1e6) is None for each in value)
    )
    return None if good else Problem("class_weights", f"none, balanced or a list of {classes} numbers above 0", value)
