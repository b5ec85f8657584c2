"""Squared error of a sigmoid, whose vanishing gradient motivates the cross-entropy."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.base import check_two_classes


class SigmoidMeanSquaredError:
    r"""One output z with P(class 1) = sigma(z), loss (sigma(z) - target)^2; sigma(z) <= 0.5 is class 0.

    Its gradient, 2 (sigma(z) - target) sigma(z) (1 - sigma(z)), vanishes far from the target as well as near it.
    The loss takes sigma(z) from the softmax of (0, z): the kernel of ``torch.sigmoid`` rounds the last elements of a
    tensor differently from the others, and which these are would depend on S.

    Args:
        classes: Number of classes, 2.

    Raises:
        SettingsError: If there are not two classes.
    """

    out_features = 1

    def __init__(self, classes: int) -> None:
        check_two_classes(classes, "mse_sigmoid")

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the squared error: (S, B, 1), (S, B) -> (S,)."""
        return (_probability(outputs).squeeze(-1) - target).square().mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return 2 (p - target) p (1 - p) / B with p = sigma(z): (S, B, 1), (S, B) -> (S, B, 1)."""
        p = _probability(outputs)
        return (p - target.unsqueeze(-1)) * (p * (1 - p)) * (2 / target.shape[1])

    def decode(self, outputs: Tensor) -> Tensor:
        """Return class 1 where sigma(z) is above 0.5, that is z above 0: (S, N, 1) -> (S, N)."""
        return (outputs.squeeze(-1) > 0).long()

    def scores(self, outputs: Tensor) -> Tensor:
        """Return minus the logit and the logit: (S, N, 1) -> (S, N, 2)."""
        return torch.cat([-outputs, outputs], dim=-1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return (sigma(-z), sigma(z)): (S, N, 1) -> (S, N, 2)."""
        return torch.sigmoid(torch.cat([-outputs, outputs], dim=-1))


def _probability(outputs: Tensor) -> Tensor:
    """Return sigma(z): (S, B, 1) -> (S, B, 1)."""
    return torch.softmax(F.pad(outputs, (1, 0)), dim=-1)[..., 1:]
