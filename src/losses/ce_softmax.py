"""The slides' training loop: softmax before a cross-entropy that applies it again."""

import math

import torch
from torch import Tensor

from src.losses.ce import CrossEntropy


class SoftmaxCrossEntropy(CrossEntropy):
    r"""C outputs z, loss -ln softmax(softmax(z))_target, decision by argmax.

    The inner softmax keeps the logits of the outer one in [0, 1], so the loss cannot reach zero: its infimum is
    ln(1 + (C-1)/e), which is 0.3133 for two classes and 0.7437 for four. `ce` is the correct form.

    Args:
        classes: Number of classes C.

    Attributes:
        floor: The infimum of the loss.

    Example:
        >>> round(SoftmaxCrossEntropy(classes=4).floor, 4)
        0.7437
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.floor = math.log1p((classes - 1) / math.e)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the doubly softmaxed cross-entropy: (S, B, C), (S, B) -> (S,)."""
        return super().loss(torch.softmax(outputs, dim=-1), target)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        r"""Return p_k (g_k - \sum_j p_j g_j) with p = softmax(z), g the gradient of `ce` at p: -> (S, B, C)."""
        p = torch.softmax(outputs, dim=-1)
        g = super().gradient(p, target)
        return p * (g - (p * g).sum(-1, keepdim=True))
