"""Base classes of data sources: any source, and a distribution, whose posterior is known exactly."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import torch
from torch import Generator, Tensor

from src.utils.validation import Problem, check

MAX_SAMPLES = 1_000_000
MAX_BLOCK = 2**14  # samples of each seed gathered at once, so that an epoch is not a second copy of a large data set
MAX_SCALE = 1e6  # of widths and distances


@runtime_checkable
class SeedPreprocessing(Protocol):
    """Preprocessing of samples that all seeds share, by the training samples of each seed."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return inputs of the networks: (S, N, K) -> (S, N, D), float32."""

    def __getitem__(self, seeds: slice) -> "SeedPreprocessing":
        """Return the preprocessing of some seeds of the stack."""


class DataSource(ABC):
    """A source of data sets.

    A subclass sets the attributes and implements ``sample``. The other methods split at random, give the features to
    the networks as they are and name them x1, x2, ...; a subclass whose data need more overrides them.

    Attributes:
        features: Number of features D.
        classes: Number of classes C.
        size: Number of samples N of one data set.
        ordered: Whether the order of the classes has a meaning, as losses of ordinal regression need.
        splits: The choices of ``split=`` that its samples allow.
    """

    features: int
    classes: int
    size: int
    ordered: bool = True
    splits: tuple[str, ...] = ("stratified",)

    @abstractmethod
    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Return one data set per generator: x (S, N, D), float64, and target (S, N), int64 in [0, C)."""

    def split_sizes(self, test: int, val: int, split: str, folds: int | None = None) -> tuple[int, int]:
        """Return the sizes nearest to these that the test and the validation split of every seed can have."""
        return test, val

    def check_split(self, test: int, val: int) -> None:  # noqa: B027 - most sources can be split at any size
        """Raise unless test and validation splits of these sizes can be made.

        Raises:
            SettingsError: If they cannot.
        """

    def split_order(
        self, sizes: Sequence[int], generator: Generator, split: str, fold: tuple[int, int] | None = None
    ) -> Tensor:
        """Return a random permutation (N,) of the samples; its consecutive parts of the given sizes are the splits."""
        return torch.randperm(self.size, generator=generator)

    def preprocessing(self, x: Tensor, train: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the function that turns samples into inputs of the networks, (S, N, D) -> (S, N, D), float32.

        Args:
            x: All samples (S, N, D).
            train: Indices of the training samples of each seed (S, n), the only ones from which anything is estimated.
        """
        return Tensor.float

    def feature_frame(self, x: Tensor, indices: Tensor) -> pd.DataFrame:
        """Return some samples of one data set as a table of named features.

        Args:
            x: The samples as the networks take them (n, D).
            indices: Their indices in the data set (n,).
        """
        return pd.DataFrame(dict(zip(self._names, x.T.numpy(), strict=True)))

    def encode(self, features: pd.DataFrame) -> Tensor:
        """Return a table of named features as samples (n, D), float64.

        Raises:
            SettingsError: If a feature is missing or has an invalid value.
        """
        missing = not set(self._names) <= set(features.columns)
        rule = f"a CSV file with the columns {', '.join(self._names)}"
        check(Problem("samples", rule, list(features.columns)) if missing else None)
        x = torch.tensor(features[self._names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float))
        bad = (~x.float().isfinite()).any(1).nonzero().flatten().tolist()
        shown = f"row {bad[0] + 1}: {features.iloc[bad[0]].to_dict()}" if bad else ""
        check(Problem("samples", "finite numbers", shown) if bad else None)
        return x

    @property
    def class_names(self) -> list[Any]:
        """The label of each class, (C,)."""
        return list(range(self.classes))

    @property
    def _names(self) -> list[str]:
        return [f"x{number}" for number in range(1, self.features + 1)]


@runtime_checkable
class NormalMixture(Protocol):
    """A distribution whose classes are mixtures of normal distributions."""

    features: int
    classes: int

    def normals(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the components: weights (K,), which sum to 1, means (K, D), covariances (K, D, D) and classes (K,)."""


class Distribution(DataSource):
    """A distribution of features and class that can be sampled and whose posterior is known.

    A distribution of two features may also have ``curve(x1)``, a line through its middle that the figures draw. One
    whose classes are mixtures of normal distributions may have ``normals()``; see ``NormalMixture``.
    """

    @abstractmethod
    def posterior(self, x: Tensor) -> Tensor:
        """Return P(class | x): (..., D) -> (..., C), rows that sum to 1."""

    @abstractmethod
    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return a Bayes-optimal label of each sample: (..., D) -> (...), int64 in [0, C)."""

    @abstractmethod
    def bayes_accuracy(self) -> float:
        """Return the best accuracy that any classifier can have, in [1/C, 1]."""

    @abstractmethod
    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return x (M, D), one location in each cell of the space, and the joint mass (M, C) of cell and class.

        All masses sum to 1.
        """
