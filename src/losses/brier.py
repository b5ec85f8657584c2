"""The Brier score of the softmax, decided by argmax."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.ce import CrossEntropy


class BrierScore(CrossEntropy):
    r"""C logits z, loss \sum_k (softmax(z)_k - 1[k = target])^2, decision by argmax.

    A proper score in [0, 2]: like the cross-entropy it is minimised by the true posterior, but it is bounded, and its
    gradient vanishes where the softmax is confident of a wrong class.

    Source: Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78 (1950),
    in its original form: summed over all classes.

    Args:
        classes: Number of classes C.
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the Brier score: (S, B, C), (S, B) -> (S,)."""
        return self._error(torch.softmax(outputs, dim=-1), target).square().sum(-1).mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        r"""Return 2 p (e - \sum p e) / B with the error e = p - onehot: (S, B, C), (S, B) -> (S, B, C)."""
        p = torch.softmax(outputs, dim=-1)
        error = self._error(p, target)
        return p * (error - (p * error).sum(-1, keepdim=True)) * (2 / target.shape[-1])

    def _error(self, p: Tensor, target: Tensor) -> Tensor:
        return p - F.one_hot(target, self.out_features)
