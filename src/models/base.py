"""The contract of a model that is fitted without gradient steps."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ClosedForm(Protocol):
    """A network whose parameters are a formula of the training points.

    Its outputs are logarithms of class probabilities, so the objective that goes with it is ``loss=none``.
    """

    def fit(self, x: Tensor, target: Tensor) -> list[str | None]:
        """Fit all seeds: (S, N, D), (S, N) -> for each seed why it cannot be fitted, or None."""
        ...
