"""Squentropy: cross-entropy plus the mean square of the logits of the wrong classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.ce import CrossEntropy


class Squentropy(CrossEntropy):
    r"""C logits z, loss -ln softmax(z)_target + 1/(C-1) \sum_{j != target} z_j^2, decision by argmax.

    Source: Hui, Belkin & Wright, Cut your losses with squentropy, ICML 2023, equation 1.

    Args:
        classes: Number of classes C.
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of both parts: (S, B, C), (S, B) -> (S,)."""
        wrong = outputs * (1 - F.one_hot(target, self.out_features))
        return super().loss(outputs, target) + wrong.square().sum(-1).mean(-1) / (self.out_features - 1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (softmax - onehot + 2 z [wrong] / (C-1)) / B: (S, B, C), (S, B) -> (S, B, C)."""
        right = F.one_hot(target, self.out_features)
        square = outputs * (1 - right) * (2 / (self.out_features - 1))
        return (torch.softmax(outputs, dim=-1) - right + square) / target.shape[-1]
