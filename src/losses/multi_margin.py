"""The multi-class hinge loss, decided by argmax."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.base import Scores
from src.utils.validation import check, choice, number


class MultiMarginLoss(Scores):
    r"""C scores z, loss 1/C \sum_{j != target} max(0, margin - z_target + z_j)^p, decision by argmax.

    Zero as soon as the true class leads all others by the margin. The scores are not probabilities.

    Source: Weston & Watkins, Support vector machines for multi-class pattern recognition, ESANN 1999; scaled by 1/C
    as ``torch.nn.MultiMarginLoss``, whose defaults p and margin are.

    Args:
        classes: Number of classes C.
        p: Power, 1 or 2.
        margin: Lead at which the loss is zero, above 0.

    Raises:
        SettingsError: If an argument is out of its range.
    """

    def __init__(self, classes: int, *, p: int, margin: float) -> None:
        super().__init__(classes)
        check(choice("p", p, (1, 2)), number("margin", margin, above=0))
        self.p = p
        self.margin = margin

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the hinge loss: (S, B, C), (S, B) -> (S,)."""
        hinge = self._hinge(outputs, target)
        return (hinge if self.p == 1 else hinge.square()).mean((-2, -1))

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the gradient of the summed losses, one-sided at the kinks: (S, B, C), (S, B) -> (S, B, C)."""
        hinge = self._hinge(outputs, target)
        slope = (hinge > 0).to(outputs.dtype) if self.p == 1 else 2 * hinge
        right = F.one_hot(target, self.out_features)
        return (slope - right * slope.sum(-1, keepdim=True)) / (self.out_features * target.shape[-1])

    def _hinge(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return max(0, margin - z_target + z_j) for each wrong class j and 0 for the true one: (S, B, C)."""
        lead = outputs.gather(-1, target[..., None]) - outputs
        return torch.relu(self.margin - lead) * (1 - F.one_hot(target, self.out_features))
