"""Real data: fixed tables whose distribution is unknown. Seeds differ in their splits."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Generator, Tensor

from src.data.dataframe import Frame, digest, make_frame, read_frame
from src.data.protocols import DataSource
from src.utils.validation import Problem, check, choice

BUNDLED = ("breast_cancer", "digits", "iris", "wine")


class Table(DataSource):
    """The samples of a table, the same for every seed.

    Splits are stratified. Features are standardised, and missing values filled with the mean, both by the training
    samples of each seed alone.

    Args:
        frame: The table.
        classes: Number of classes C, which has to be that of the table.

    Attributes:
        features: Number of features D; a column of texts counts as one per distinct text.
        classes: Number of classes C.
        size: Number of samples N.

    Raises:
        SettingsError: If the table has another number of classes.
    """

    def __init__(self, frame: Frame, classes: int) -> None:
        found = len(frame.names)
        check(None if classes == found else Problem("classes", f"{found}, as the data have", classes))
        self.frame = frame
        self.x = self.encode(frame.features)  # (N, D)
        self.target = torch.from_numpy(frame.labels)  # (N,)
        self.size, self.features = self.x.shape
        self.classes = classes

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Return all samples for every seed: x (S, N, D), float64, NaN where missing, and target (S, N), int64."""
        seeds = len(generators)
        return self.x.expand(seeds, -1, -1), self.target.expand(seeds, -1)

    def check_split(self, test: int, val: int) -> None:
        """Raise unless every split can have a sample of every class.

        Raises:
            SettingsError: If a class has fewer samples than there are splits, or a split fewer than there are classes.
        """
        splits, counts = 2 + (val > 0), np.bincount(self.frame.labels)
        rarest = int(counts.argmin())
        label = self.frame.names[rarest]
        shown = f"{label:g}" if isinstance(label, float) else label
        problems = []
        if counts[rarest] < splits:
            rule = f"a column with at least {splits} samples of every class, one for each split"
            problems.append(Problem("target", rule, f"{counts[rarest]} of class {shown}"))
        for name, size in (("test_fraction", test), ("val_fraction", val)):
            if 0 < size < self.classes:
                rule = f"a fraction of {self.size} samples that gives each of {self.classes} classes one"
                problems.append(Problem(name, rule, size))
        check(*problems)

    def split_order(self, sizes: Sequence[int], generator: Generator) -> Tensor:
        """Return a permutation (N,) whose consecutive parts of the given sizes are stratified."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rest, parts = np.arange(self.size), []
        for size in sizes[:-1]:
            if size:
                rest, part = train_test_split(rest, test_size=size, stratify=self.frame.labels[rest], random_state=seed)
                parts.append(part)
        return torch.from_numpy(np.concatenate([*parts, rest]))

    def preprocessing(self, x: Tensor, train: Tensor) -> "Standardization":
        """Return the standardisation by each seed's training samples: x (S, N, D), train (S, n)."""
        return Standardization(x[torch.arange(len(x))[:, None], train])

    def feature_frame(self, x: Tensor, indices: Tensor) -> pd.DataFrame:
        """Return the features of some samples, (n,), as the table has them."""
        return self.frame.features.iloc[indices.numpy()].reset_index(drop=True)

    def encode(self, features: pd.DataFrame) -> Tensor:
        """Return a table with the same columns as samples (n, D), float64, NaN where missing.

        Raises:
            SettingsError: If a column is missing or has an invalid value.
        """
        return torch.from_numpy(self.frame.encode(features))


class BundledTable(Table):
    """One of the small data sets that come with scikit-learn; nothing is downloaded.

    Args:
        classes: Number of classes C, which has to be that of the data.
        name: ``breast_cancer``, ``digits``, ``iris`` or ``wine``.

    Raises:
        SettingsError: If there is no such data set, or it has another number of classes.
    """

    def __init__(self, classes: int, *, name: str) -> None:
        check(choice("name", name, BUNDLED))
        table = getattr(datasets, f"load_{name}")(as_frame=True).frame
        super().__init__(make_frame(table, "target", "error"), classes)


class CsvTable(Table):
    """The samples of a CSV or Parquet file.

    Args:
        classes: Number of classes C, which has to be that of the file.
        path: The file.
        target: Its column of classes; all others are features.
        missing: How missing values are treated: ``error`` refuses them, ``drop`` drops their rows, ``mean`` fills in
            the mean of the training samples.
        sha256: Hash of the file, which is compared with that of the present file.

    Raises:
        SettingsError: If the file or an argument is wrong, or the file has changed since it was hashed.
    """

    def __init__(self, classes: int, *, path: str, target: str, missing: str, sha256: str | None) -> None:
        frame = read_frame(path, target, missing)
        check(None if digest(path) == sha256 else Problem("sha256", f"that of {path}, which has changed", sha256))
        super().__init__(frame, classes)


class Standardization:
    """Standardises features by the mean and deviation of each seed's training samples; missing values become 0.

    scikit-learn's StandardScaler takes one data set; this takes a stack, and gives each seed the same bits in any.

    Args:
        train: The training samples (S, n, D), NaN where missing.

    Attributes:
        mean: (S, 1, D), float64.
        deviation: (S, 1, D), float64; 1 where a feature is constant.
    """

    def __init__(self, train: Tensor) -> None:
        # A sum over the samples of all seeds at once would round differently for another S.
        self.mean = torch.stack([x.nanmean(0, keepdim=True).nan_to_num() for x in train])
        squares = (train - self.mean).square()
        deviation = torch.stack([x.nanmean(0, keepdim=True).sqrt().nan_to_num() for x in squares])
        self.deviation = torch.where(deviation > 0, deviation, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Return standardised samples: (S, N, D) -> (S, N, D), float32."""
        return ((x - self.mean) / self.deviation).nan_to_num(nan=0.0).float()
