"""Mean squared error to the label itself, decided by the nearest label."""

import torch
from torch import Tensor

from src.losses._functional import TIE_TOLERANCE


class MeanSquaredError:
    r"""Regression on the label: one output y, loss (y - target)^2, decision by rounding.

    The nearest of the labels 0, ..., C-1 wins, ties go to the lower one: for two classes, y <= 0.5 is class 0.
    The output is not a probability.

    Args:
        classes: Number of classes C.

    Example:
        >>> objective = MeanSquaredError(classes=3)
        >>> objective.decode(torch.tensor([[[-4.0], [0.5], [0.51], [1.5], [9.0]]]))
        tensor([[0, 0, 1, 1, 2]])
    """

    out_features = 1
    ordinal = True

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of (y - target)^2: (S, B, 1), (S, B) -> (S,)."""
        return (outputs.squeeze(-1) - target).square().mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return 2 (y - target) / B: (S, B, 1), (S, B) -> (S, B, 1)."""
        return (outputs - target.unsqueeze(-1)).mul_(2 / target.shape[1])

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the nearest label, ties to the lower: (S, N, 1) -> (S, N)."""
        return torch.ceil(outputs.squeeze(-1) - 0.5).clamp(0, self.classes - 1).long()

    def scores(self, outputs: Tensor) -> Tensor:
        """Return k y - k^2 / 2 for each label k, largest for the nearest one: (S, N, 1) -> (S, N, C)."""
        label = torch.arange(self.classes)
        return label * outputs - label**2 / 2

    def ideal(self, posterior: Tensor) -> Tensor:
        r"""Return the decisions on the conditional mean \sum_k k P(k | x), the minimiser: (M, C) -> (M,).

        Example:
            >>> MeanSquaredError(classes=3).ideal(torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]))
            tensor([1, 0, 2])
        """
        return self.decode(self._mean(posterior))

    def ideal_scores(self, posterior: Tensor) -> Tensor:
        """Return the scores of the conditional mean: (M, C) -> (M, C)."""
        return self.scores(self._mean(posterior))

    def probabilities(self, outputs: Tensor) -> None:
        """Return None: the output of a regression on labels is not a probability."""
        return

    def _mean(self, posterior: Tensor) -> Tensor:
        """Return the conditional means, less what a tie may be off by: (M, C) -> (M, 1)."""
        return (posterior * torch.arange(self.classes)).sum(-1, keepdim=True) - TIE_TOLERANCE
