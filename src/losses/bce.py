"""Binary cross-entropy on one logit, decided at probability one half."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.objective import check_two_classes


class BinaryCrossEntropy:
    r"""One logit z with P(class 1) = sigma(z), loss -ln P(target); sigma(z) >= 0.5 is class 1.

    Args:
        classes: Number of classes, 2.

    Raises:
        SettingsError: If there are not two classes.
    """

    out_features = 1

    def __init__(self, classes: int) -> None:
        check_two_classes(classes, "bce")

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the cross-entropy in nats: (S, B, 1), (S, B) -> (S,)."""
        logit = outputs.squeeze(-1)
        return F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype), reduction="none").mean(-1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return class 1 where the logit is at least 0: (S, N, 1) -> (S, N)."""
        return (outputs.squeeze(-1) >= 0).long()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return (sigma(-z), sigma(z)): (S, N, 1) -> (S, N, 2)."""
        return torch.sigmoid(torch.cat([-outputs, outputs], dim=-1))
