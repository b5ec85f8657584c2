"""The contracts of what gives data: any source, and a distribution, whose distribution is known exactly."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Generator, Tensor

MOST_POINTS = 1_000_000
MOST_SCALE = 1e6  # of widths and distances


class DataSource(Protocol):
    """Where points come from.

    Attributes:
        features: Number of features D.
        classes: Number of classes C.
        size: Number of points N of one sample.
    """

    features: int
    classes: int
    size: int

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Return one data set a generator: x (S, N, D), float64, and target (S, N), int64 in [0, C)."""
        ...


@runtime_checkable
class Distribution(DataSource, Protocol):
    """A distribution of features and class that can be sampled and whose posterior is known.

    A distribution of two features may also have ``curve(x1)``, a line through its middle that the figures draw.
    """

    def posterior(self, x: Tensor) -> Tensor:
        """Return P(class | x): (..., D) -> (..., C), rows that sum to 1."""
        ...

    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return a label that is Bayes-optimal at each point: (..., D) -> (...), int64 in [0, C)."""
        ...

    def bayes_accuracy(self) -> float:
        """Return the best accuracy that any classifier can have, in [1/C, 1]."""
        ...

    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return points x (M, D) and the joint mass (M, C) of each point's cell and class; all masses sum to 1."""
        ...
