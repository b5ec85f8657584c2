"""Binary cross-entropy on one logit, decided at probability one half."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.base import check_two_classes
from src.losses.ce import CrossEntropy


class BinaryCrossEntropy:
    r"""One logit z with P(class 1) = sigma(z), loss -ln P(target); sigma(z) >= 0.5 is class 1.

    The loss is the two-class cross-entropy of the logits (0, z), and is computed so: the kernel of torch's binary
    cross-entropy rounds the last elements of a tensor differently from the others, and which these are would depend
    on S.

    Args:
        classes: Number of classes, 2.

    Raises:
        SettingsError: If there are not two classes.
    """

    out_features = 1

    def __init__(self, classes: int) -> None:
        check_two_classes(classes, "bce")
        self._two_logits = CrossEntropy(classes)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the cross-entropy in nats: (S, B, 1), (S, B) -> (S,)."""
        return self._two_logits.loss(F.pad(outputs, (1, 0)), target)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (sigma(z) - target) / B: (S, B, 1), (S, B) -> (S, B, 1)."""
        return self._two_logits.gradient(F.pad(outputs, (1, 0)), target)[..., 1:]

    def decode(self, outputs: Tensor) -> Tensor:
        """Return class 1 where the logit is at least 0: (S, N, 1) -> (S, N)."""
        return (outputs.squeeze(-1) >= 0).long()

    def scores(self, outputs: Tensor) -> Tensor:
        """Return minus the logit and the logit: (S, N, 1) -> (S, N, 2)."""
        return torch.cat([-outputs, outputs], dim=-1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return (sigma(-z), sigma(z)): (S, N, 1) -> (S, N, 2)."""
        return torch.sigmoid(torch.cat([-outputs, outputs], dim=-1))
