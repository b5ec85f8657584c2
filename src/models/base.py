"""Protocols of models beyond ``nn.Module``: fitted in closed form, and affine in the features."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ClosedForm(Protocol):
    """A network whose parameters are a formula of the training samples.

    Its outputs are logarithms of class probabilities, so its objective is ``loss=none``.
    """

    def fit(self, x: Tensor, target: Tensor) -> list[str | None]:
        """Fit all seeds: (S, N, D), (S, N) -> for each seed the reason why it cannot be fitted, or None."""
        ...


@runtime_checkable
class Affine(Protocol):
    """A network whose outputs are affine functions of the features."""

    def linear(self) -> tuple[Tensor, Tensor]:
        """Return the weights (S, D, O) and biases (S, O)."""
        ...
