"""Real data: fixed tables whose distribution is unknown. Seeds differ in their splits."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Generator, Tensor

from src.data.dataframe import FILE_SPLIT, Frame, TableSettings, digest, make_frame, read_frame
from src.data.encoding import Encoder, Layout, layout_problems
from src.data.group_split import group_fold_size, group_order, reachable_size
from src.data.protocols import MAX_BLOCK, DataSource
from src.data.splits import PARTS, fold_numbers, named_parts, time_sizes, times_of
from src.utils.validation import Problem, SettingsError, check, choice, flag

BUNDLED = ("breast_cancer", "digits", "iris", "wine")


class Table(DataSource):
    """The samples of a table, the same for every seed.

    Splits are stratified or keep groups together, or a column decides about them. Categories are encoded one-hot,
    features standardised and missing values filled with the mean, all by the training samples of each seed alone.

    Args:
        frame: The table.
        classes: Number of classes C, which has to be that of the table.
        unknown: What a category is that no sample of the table has: an ``error``, or ``none`` of the others.
        min_frequency: Number or share of the training samples below which categories are grouped; None for none.
        max_categories: Largest number of categories of a column, beyond which the rarest are grouped; None for any.
        indicator: Whether a column with missing values has an input that is 1 where they are.

    Attributes:
        features: Number of features D; a column of categories counts as one per category.
        classes: Number of classes C.
        size: Number of samples N.
        class_names: The label of each class, (C,).

    Raises:
        SettingsError: If the table has another number of classes.
    """

    splits: tuple[str, ...] = ("stratified", "group", "time", "column", "file", "kfold")

    def __init__(
        self,
        frame: Frame,
        classes: int,
        *,
        unknown: str = "error",
        min_frequency: float | None = None,
        max_categories: int | None = None,
        indicator: bool = False,
    ) -> None:
        found = len(frame.classes.names)
        check(None if classes == found else Problem("classes", f"{found}, as the data have", classes))
        check(*layout_problems(unknown, min_frequency, max_categories))
        self.frame = frame
        self.layout = Layout(frame.used, unknown, min_frequency, max_categories, indicator)
        self.x = self.encode(frame.features)  # (N, K)
        self.target = torch.from_numpy(frame.classes.target)  # (N,)
        self.size, self.features = len(self.x), sum(self.layout.widths())
        self.classes = classes
        self.ordered = frame.classes.ordered
        self.groups = None if frame.groups is None else pd.factorize(frame.groups.astype(object))[0]  # (N,)

    @property
    def class_names(self) -> list[Any]:
        """The label of each class, (C,)."""
        return self.frame.classes.names

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Return all samples for every seed: x (S, N, K), float64, see ``Layout.codes``, and target (S, N), int64."""
        seeds = len(generators)
        return self.x.expand(seeds, -1, -1), self.target.expand(seeds, -1)

    def split_sizes(self, test: int, val: int, split: str, folds: int | None = None) -> tuple[int, int]:
        """Return the sizes nearest to these that the splits can have: of whole groups or times, or those of the column.

        Raises:
            SettingsError: If a column is missing or needless, or gives no split with every class.
        """
        self._check_columns(split, val)
        if folds is not None:
            return self._fold_size(folds, val), val
        if self.frame.split_by is not None:
            sizes = self._fixed_sizes(split, test, val)
            self._check_parts(self._fixed_order(split), sizes)
            return (sizes[0], val) if split == "file" else sizes
        if self.groups is None:
            return test, val
        counts = np.bincount(self.groups).tolist()
        splits = 2 + (val > 0)
        rule = f"a column with at least {splits} groups"
        check(None if len(counts) >= splits else Problem("groups", rule, f"{len(counts)} groups"))
        return reachable_size(counts, test), reachable_size(counts, val) if val else 0

    def _check_columns(self, split: str, val: int) -> None:
        """Raise unless the columns that decide about the splits are given where they do, and only there."""
        by, groups = self.frame.split_by, self.frame.groups
        decides, two_files = split in ("time", "column"), by is not None and by.name == FILE_SPLIT
        if split == "file" and not two_files:
            raise SettingsError(Problem("test_path", "a file of test samples with split=file", None))
        if split != "file" and two_files:
            raise SettingsError(Problem("test_path", f"null with split={split}", "a second file"))
        if by is None and decides:
            raise SettingsError(Problem("split_by", f"the column that decides with split={split}", None))
        if by is not None and not decides and not two_files:
            raise SettingsError(Problem("split_by", f"null with split={split}", by.name))
        if groups is None and split == "group":
            raise SettingsError(Problem("groups", "the column of groups with split=group", None))
        if groups is not None and split in ("file", "kfold") and val:
            rule = f"0 with data.groups and split={split}, which makes no validation split of whole groups"
            raise SettingsError(Problem("val_fraction", rule, val / self.size))

    def _fixed_sizes(self, split: str, test: int, val: int) -> tuple[int, int]:
        """Return the numbers of test and of validation samples that a column or a second file decides."""
        assert self.frame.split_by is not None  # noqa: S101 - for mypy
        if split == "file":
            return int(self._tested.sum()), 0
        if split == "time":
            return time_sizes(times_of(self.frame.split_by), test, val)
        return _named_sizes(self.frame.split_by, val)

    @property
    def _tested(self) -> NDArray[np.bool_]:
        """Whether each sample, (N,), is of the file of test samples."""
        assert self.frame.split_by is not None  # noqa: S101 - for mypy
        return (self.frame.split_by == "test").to_numpy(dtype=bool)

    def _fold_size(self, folds: int, val: int) -> int:
        """Return the number of samples of each fold.

        Raises:
            SettingsError: If a fold, or what is left of it for the other splits, cannot have every class.
        """
        if self.groups is not None:
            return group_fold_size(self.groups, self.frame.classes.target, folds)
        counts = np.bincount(self.frame.classes.target)
        rarest, left = int(counts.min()), int((counts - -(-counts // folds)).min())
        rule = "a number of folds, each of which has a sample of every class and leaves one for each other split"
        check(Problem("folds", rule, folds) if rarest < folds or left < 1 + (val > 0) else None)
        return self.size // folds

    def _fixed_order(self, split: str) -> NDArray[np.int64]:
        """Return the permutation (N,) that a column or a second file decides: test, validation, training samples."""
        assert self.frame.split_by is not None  # noqa: S101 - for mypy
        if split == "file":
            return np.argsort(~self._tested, kind="stable")
        if split == "time":
            return np.argsort(-times_of(self.frame.split_by), kind="stable")
        names = named_parts(self.frame.split_by)
        return np.concatenate([np.flatnonzero(names == part) for part in PARTS])

    def _check_parts(self, order: NDArray[np.int64], sizes: tuple[int, int]) -> None:
        """Raise unless every split that a column decides has every class, and no group is in two."""
        parts = [part for part in np.split(order, np.cumsum(sizes)) if len(part)]
        for part in parts:
            absent = np.flatnonzero(np.bincount(self.frame.classes.target[part], minlength=self.classes) == 0)
            rule = "a column with every class in every split"
            shown = f"a split of {len(part)} samples without class {self.class_names[absent[0]]}" if len(absent) else ""
            check(Problem("split_by", rule, shown) if len(absent) else None)
        if self.groups is not None:
            shared = sum(len(set(self.groups[part])) for part in parts) - len(set(self.groups))
            check(
                Problem("groups", "a column whose groups are in one split each", f"{shared} in more")
                if shared
                else None
            )

    def check_split(self, test: int, val: int) -> None:
        """Raise unless every split can have a sample of every class.

        Raises:
            SettingsError: If a class has fewer samples than there are splits, or a split fewer than there are classes.
        """
        splits, counts = 2 + (val > 0), np.bincount(self.frame.classes.target)
        rarest = int(counts.argmin())
        problems = []
        if counts[rarest] < splits:
            rule = f"a column with at least {splits} samples of every class, one for each split"
            problems.append(Problem("target", rule, f"{counts[rarest]} of class {self.class_names[rarest]}"))
        for name, size in (("test_fraction", test), ("val_fraction", val)):
            if 0 < size < self.classes:
                rule = f"a fraction of {self.size} samples that gives each of {self.classes} classes one"
                problems.append(Problem(name, rule, size))
        check(*problems)

    def split_order(
        self, sizes: Sequence[int], generator: Generator, split: str, fold: tuple[int, int] | None = None
    ) -> Tensor:
        """Return a permutation (N,) whose consecutive parts of the given sizes have every class.

        They are stratified, or share no group where there are groups, or are what a column decides.
        """
        if split in ("time", "column"):
            return torch.from_numpy(self._fixed_order(split))
        if self.groups is not None and fold is not None:
            number, folds = fold
            order = group_order(self.groups, self.frame.classes.target, [sizes[0]] * folds, generator)
            return torch.cat([order[number * sizes[0] :], order[: number * sizes[0]]])
        if self.groups is not None and split != "file":
            return group_order(self.groups, self.frame.classes.target, sizes, generator)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        labels, rest, parts = self.frame.classes.target, np.arange(self.size), []
        if fold is not None or split == "file":
            tested = self._tested if fold is None else fold_numbers(labels, fold[1], seed) == fold[0]
            parts, rest = [np.flatnonzero(tested)], np.flatnonzero(~tested)
        for index, size in enumerate(sizes[:-1]):
            if size and index >= len(parts):
                later = sum(size > 0 for size in sizes[index + 1 :])
                rest, part = _stratified_cut(labels, rest, size, seed, later)
                parts.append(part)
        return torch.from_numpy(np.concatenate([*parts, rest]))

    def preprocessing(self, x: Tensor, train: Tensor) -> "Preprocessing":
        """Return the encoding and standardisation by each seed's training samples: x (S, N, K), train (S, n)."""
        return Preprocessing(self.layout, x, train)

    def feature_frame(self, x: Tensor, indices: Tensor) -> pd.DataFrame:
        """Return the features of some samples, (n,), as the table has them."""
        features = self.frame.features.iloc[indices.numpy()]
        features.index = pd.RangeIndex(len(features))  # without another copy
        return features

    def encode(self, features: pd.DataFrame) -> Tensor:
        """Return a table with the same columns as samples (n, K), float64, NaN where missing; see ``Layout.codes``.

        Raises:
            SettingsError: If a column is missing or has an invalid value.
        """
        return torch.from_numpy(self.layout.codes(features))


class BundledTable(Table):
    """One of the small data sets that come with scikit-learn; nothing is downloaded.

    Args:
        classes: Number of classes C, which has to be that of the data.
        name: ``breast_cancer``, ``digits``, ``iris`` or ``wine``.

    Raises:
        SettingsError: If there is no such data set, or it has another number of classes.
    """

    splits = ("stratified", "kfold")

    def __init__(self, classes: int, *, name: str) -> None:
        check(choice("name", name, BUNDLED))
        table = getattr(datasets, f"load_{name}")(as_frame=True).frame
        super().__init__(make_frame(table, TableSettings(target="target")), classes)


class CsvTable(Table):
    """The samples of a file: CSV, Parquet, Feather, Excel, JSON lines or ARFF.

    Args:
        classes: Number of classes C, which has to be that of the file.
        path: The file.
        target: Its column of classes.
        missing: How missing values are treated: ``error`` refuses them, ``drop`` drops their rows, ``mean`` fills in
            the mean of the training samples, and ``indicator`` also tells the network where they were.
        sha256: Hash of the file, which is compared with that of the present file.
        read: Arguments of ``pandas.read_csv`` by name, or ``auto`` for those that the file seems to need.
        features: The columns that are features; None for all others than the target.
        drop: Columns that are no features.
        categorical: Columns of categories, whatever they look like.
        ordered: Columns of ordered categories, each with its texts in order.
        numeric: Columns of numbers, whatever they look like; a date counts as its days since 1970.
        groups: A column of groups, which is no feature; no group is in two splits. None for none.
        split_by: The column of ``split=time`` or ``split=column``, which is no feature; None for none.
        labels: All labels in the order of their classes; None sorts them.
        merge_labels: Whether spellings of a label that differ in case, blanks or Unicode form are one class.
        unknown: What a category is that no sample of the file has: an ``error``, or ``none`` of the others.
        min_frequency: Number or share of the training samples below which categories are grouped; None for none.
        max_categories: Largest number of categories of a column, beyond which the rarest are grouped; None for any.
        copy: Whether a copy of the file is kept beside the runs.
        test_path: A file with the same columns, whose rows are the test samples of ``split=file``; None for none.
        test_sha256: Hash of that file.

    Raises:
        SettingsError: If the file or an argument is wrong, or the file has changed since it was hashed.
    """

    def __init__(
        self,
        classes: int,
        *,
        path: str,
        target: str,
        missing: str,
        sha256: str | None,
        read: Mapping[str, Any] | str | None = None,
        features: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        categorical: Sequence[str] = (),
        ordered: Mapping[str, Sequence[Any]] | None = None,
        numeric: Sequence[str] = (),
        groups: str | None = None,
        split_by: str | None = None,
        labels: Sequence[Any] | None = None,
        merge_labels: bool = False,
        unknown: str = "error",
        min_frequency: float | None = None,
        max_categories: int | None = None,
        copy: bool = False,
        test_path: str | None = None,
        test_sha256: str | None = None,
    ) -> None:
        settings = TableSettings(
            target=target,
            missing=missing,
            read=read,
            features=features,
            drop=drop,
            categorical=categorical,
            ordered=ordered,
            numeric=numeric,
            groups=groups,
            split_by=split_by,
            labels=labels,
            merge_labels=merge_labels,
            test_path=test_path,
        )
        frame = read_frame(path, settings)
        check(None if digest(path) == sha256 else Problem("sha256", f"that of {path}, which has changed", sha256))
        alone = test_path is None and test_sha256 is not None
        check(Problem("test_sha256", "null without data.test_path", test_sha256) if alone else None)
        same = test_path is None or digest(test_path) == test_sha256
        check(None if same else Problem("test_path", f"the file of the sha256 {test_sha256}", test_path))
        check(flag("copy", copy))
        self.path, self.sha256 = path, sha256
        super().__init__(
            frame,
            classes,
            unknown=unknown,
            min_frequency=min_frequency,
            max_categories=max_categories,
            indicator=missing == "indicator",
        )


def _named_sizes(column: pd.Series, val: int) -> tuple[int, int]:
    """Return the number of test and of validation samples that a column names.

    Raises:
        SettingsError: If it names others than the settings, or no sample of a split.
    """
    names = named_parts(column)
    counts = [int((names == part).sum()) for part in PARTS]
    for part, count in zip(PARTS, counts, strict=True):
        needed = int(part != "val")
        check(
            Problem("split_by", f"a column that says {part} of some samples", column.name) if needed > count else None
        )
    share = counts[1] / len(names)
    rule = f"{share:.6g}, the share that {column.name} names val"
    check(Problem("val_fraction", rule, val / len(names)) if val != counts[1] else None)
    return counts[0], counts[1]


def _stratified_cut(
    labels: NDArray[np.int64], rows: NDArray[np.int64], size: int, seed: int, later: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut rows into those that are left and a stratified part of a size, with every class in either.

    Stratification alone gives a part none of a class that is rarer than one in its size. Such a part swaps samples with
    the rest.

    Args:
        labels: The class of every row of the table, (N,); each has at least 1 + later of the rows.
        rows: The rows to cut.
        size: Rows of the part, at least as many as there are classes.
        seed: Seed of the cut.
        later: Parts that the rest will be cut into, each of which needs every class.
    """
    counts = np.bincount(labels[rows])
    stratify = labels[rows] if counts.min() > 1 and len(rows) - size >= len(counts) else None
    rest, part = train_test_split(rows, test_size=size, stratify=stratify, random_state=seed)
    for label in range(len(counts)):
        for lacking, other, least, spare in ((part, rest, 1, later), (rest, part, later, 1)):
            while (labels[lacking] == label).sum() < least:
                common = np.bincount(labels[lacking], minlength=len(counts)) - least
                given = np.flatnonzero(labels[lacking] == common.argmax())[0]
                taken = np.flatnonzero(labels[other] == label)
                if len(taken) <= spare or common.max() < 1:
                    rule = "a table with a sample of every class for every split"
                    raise SettingsError(Problem("target", rule, f"{counts[label]} of class {label}"))
                lacking[given], other[taken[0]] = other[taken[0]], lacking[given]
    return rest, part


class Preprocessing:
    """Encodes and standardises samples by each seed's training samples; missing values become 0.

    scikit-learn's StandardScaler takes one data set; this takes a stack, seed by seed: each has the same bits in any
    stack, and intermediate results take the memory of one.

    Args:
        layout: Where the features are.
        x: All samples (S, N, K), see ``Layout.codes``.
        train: Indices of the training samples of each seed, (S, n).

    Attributes:
        encoders: The encoder of each seed; none where all features are numbers, which are their own inputs.
        mean: The mean of each input over the training samples, (S, 1, D), float64.
        deviation: Their standard deviation, (S, 1, D), float64; 1 where an input is constant.
    """

    def __init__(self, layout: Layout, x: Tensor, train: Tensor) -> None:
        numeric = all(column.is_number for column in layout.columns) and not layout.indicator
        self.layout = layout
        self.encoders: list[Encoder] = (
            [] if numeric else [layout.fit(each[part].numpy()) for each, part in zip(x, train, strict=True)]
        )
        moments = [
            _moments(self._encoded(each[part], index)) for index, (each, part) in enumerate(zip(x, train, strict=True))
        ]
        self.mean, self.deviation = (torch.stack(each) for each in zip(*moments, strict=True))

    def __call__(self, x: Tensor) -> Tensor:
        """Return inputs of the networks: (S, N, K), or (1, N, K) for all seeds, -> (S, N, D), float32."""
        seeds = len(self.mean)
        inputs = torch.empty(seeds, x.shape[1], self.mean.shape[2])
        for index, each in enumerate(x.expand(seeds, -1, -1)):
            inputs[index] = scaled(self._encoded(each, index), self.mean[index], self.deviation[index])
        return inputs

    def __getitem__(self, seeds: slice) -> "Preprocessing":
        """Return the preprocessing of some seeds of the stack."""
        part = copy(self)
        part.encoders, part.mean, part.deviation = self.encoders[seeds], self.mean[seeds], self.deviation[seeds]
        return part

    def encoder(self, index: int) -> Encoder:
        """Return the encoder of the seed at an index of the stack."""
        return self.encoders[index] if self.encoders else Encoder(self.layout, ((),) * len(self.layout.columns))

    def _encoded(self, x: Tensor, index: int) -> Tensor:
        """Return the inputs of one seed before they are scaled, (N, K) -> (N, D)."""
        return torch.from_numpy(self.encoders[index](x.numpy())) if self.encoders else x


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each input, (1, D), over the samples (n, D), NaN where missing; overwrite these."""
    known = len(x) - sum(block.isnan().sum(0) for block in x.split(MAX_BLOCK))  # nanmean would take a copy for this
    mean = (x.nansum(0, keepdim=True) / known).nan_to_num()
    deviation = (x.sub_(mean).square_().nansum(0, keepdim=True) / known).sqrt().nan_to_num()
    return mean, torch.where(deviation > 0, deviation, 1)


def scaled(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return standardised samples, float32; missing values become 0."""
    return ((x - mean) / deviation).nan_to_num(nan=0.0).float()
