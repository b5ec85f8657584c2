"""Real data: a fixed table of points of which no distribution is known. Seeds differ in their splits."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from src.data.dataframe import Frame
from src.utils.validation import Problem, check


class Table:
    """The points of a table, the same for every seed.

    Splits are stratified: each has every class in its share. Features are scaled to mean 0 and variance 1, and missing
    ones filled with the mean, both over the training points of the seed alone.

    Args:
        frame: The table.
        classes: Number of classes C, which has to be that of the table.

    Attributes:
        features: Number of features D, a text counting one for each of its values.
        classes: Number of classes C.
        size: Number of points N.

    Raises:
        SettingsError: If the number of classes is another one.
    """

    def __init__(self, frame: Frame, classes: int) -> None:
        found = len(frame.names)
        check(None if classes == found else Problem("classes", f"{found}, as the data have", classes))
        self.frame = frame
        self.x = torch.from_numpy(frame.encode(frame.features))  # (N, D)
        self.target = torch.from_numpy(frame.labels)  # (N,)
        self.size, self.features = self.x.shape
        self.classes = classes

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Return all points for every seed: x (S, N, D), float64, NaN where missing, and target (S, N), int64."""
        seeds = len(generators)
        return self.x.expand(seeds, -1, -1), self.target.expand(seeds, -1)

    def order(self, sizes: Sequence[int], generator: Generator) -> Tensor:
        """Return a permutation (N,) whose consecutive parts of some sizes are stratified."""
        from sklearn.model_selection import train_test_split  # most of a second, which only tables need

        seed = int(torch.randint(2**31, (1,), generator=generator))
        rest, parts = np.arange(self.size), []
        for size in sizes[:-1]:
            if size:
                rest, part = train_test_split(rest, test_size=size, stratify=self.frame.labels[rest], random_state=seed)
                parts.append(part)
        return torch.from_numpy(np.concatenate([*parts, rest]))

    def check_sizes(self, test: int, val: int) -> None:
        """Raise unless every split can have a point of every class.

        Raises:
            SettingsError: If a class has fewer points than there are splits, or a split fewer than there are classes.
        """
        splits, counts = 2 + (val > 0), np.bincount(self.frame.labels)
        rare = int(counts.argmin())
        label = self.frame.names[rare]
        rule = f"one with {splits} points or more of every class, one a split"
        check(
            Problem("target", rule, f"{counts[rare]} of class {f'{label:g}' if isinstance(label, float) else label}")
            if counts[rare] < splits
            else None,
            *(
                Problem(name, f"a fraction of {self.size} points that gives each of {self.classes} classes one", size)
                for name, size in (("test_fraction", test), ("val_fraction", val))
                if 0 < size < self.classes
            ),
        )

    def rows(self, indices: Tensor) -> pd.DataFrame:
        """Return the features of some points, (n,), as they came."""
        return self.frame.features.iloc[indices.numpy()].reset_index(drop=True)


class Scaling:
    """Standardises features and fills missing ones, by the moments of the training points of each seed.

    Args:
        train: The training points (S, N, D), NaN where missing.
    """

    def __init__(self, train: Tensor) -> None:
        # Seed by seed, as a sum over the points of all seeds would round by S.
        self.mean = torch.stack([points.nanmean(0, keepdim=True).nan_to_num() for points in train])  # (S, 1, D)
        squares = (train - self.mean).square()
        deviation = torch.stack([points.nanmean(0, keepdim=True).sqrt().nan_to_num() for points in squares])
        self.deviation = torch.where(deviation > 0, deviation, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Scale points: (S, N, D) -> (S, N, D)."""
        return ((x - self.mean) / self.deviation).nan_to_num(nan=0.0)
