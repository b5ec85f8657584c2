"""Cross-entropy on logits, decided by argmax."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses._functional import softmax
from src.losses.base import Scores


class CrossEntropy(Scores):
    r"""C logits z, loss -ln softmax(z)_target, decision by argmax.

    Args:
        classes: Number of classes C.

    Example:
        >>> objective = CrossEntropy(classes=2)
        >>> objective.loss(torch.tensor([[[-0.0180, 0.0855]]]), torch.tensor([[0]]))  # the slides: 0.74624
        tensor([0.7462])
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the cross-entropy in nats: (S, B, C), (S, B) -> (S,)."""
        pointwise = F.cross_entropy(outputs.flatten(0, 1), target.flatten(), reduction="none")  # (S * B,)
        return pointwise.view(target.shape).mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (softmax(z) - 1[k = target]) / B: (S, B, C), (S, B) -> (S, B, C)."""
        error = torch.softmax(outputs, dim=-1)
        error.scatter_(-1, target.unsqueeze(-1), -1, reduce="add")  # faster than - F.one_hot(target, C)
        return error.div_(target.shape[1])

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return softmax(z): (S, N, C) -> (S, N, C)."""
        return softmax(outputs)
