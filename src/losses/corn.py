"""CORN: ordinal regression by conditional probabilities, decided by rank."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses._functional import TIE_TOLERANCE, two_way


class ConditionalOrdinal:
    r"""C-1 logits z, where sigma(z_j) is P(label > j | label >= j), decided by the rank that they give.

    Logit j is trained on the samples whose label is at least j, as a binary classifier of whether it is larger. The
    loss is the mean binary cross-entropy over all these pairs of a sample and a logit, whose number depends on the
    labels of the mini-batch. P(label > j) is the product of sigma(z_0), ..., sigma(z_j). The decision is how many of
    these are above 1/2: the median of the distribution, which is not always its most probable label.

    Source: Shi, Cao & Raschka, Deep neural networks for rank-consistent ordinal regression based on conditional
    probabilities, Pattern Analysis and Applications 26 (2023), sections 3.2 to 3.4.

    Args:
        classes: Number of classes C.

    Example:
        >>> objective = ConditionalOrdinal(classes=3)
        >>> objective.probabilities(torch.zeros(1, 1, 2))
        tensor([[[0.5000, 0.2500, 0.2500]]])
    """

    ordinal = True

    def __init__(self, classes: int) -> None:
        self.out_features = classes - 1

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the pairs of a sample and a logit, in nats: (S, B, C-1), (S, B) -> (S,)."""
        larger, relevant = self._tasks(target)
        error = -two_way(outputs).log_softmax(-1).gather(-1, larger[..., None])[..., 0]
        return (error * relevant).sum((-2, -1)) / relevant.sum((-2, -1))

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (sigma(z) - [label > j]) / pairs where label >= j: (S, B, C-1), (S, B) -> (S, B, C-1)."""
        larger, relevant = self._tasks(target)
        error = two_way(outputs).softmax(-1)[..., 1] - larger
        return error * relevant / relevant.sum((-2, -1), keepdim=True)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return how many of P(label > 0), ..., P(label > C-2) are above 1/2: (S, N, C-1) -> (S, N)."""
        return (two_way(outputs).softmax(-1)[..., 1].cumprod(-1) > 0.5).sum(-1)

    def scores(self, outputs: Tensor) -> Tensor:
        """Return sums of ln 2 P(label > j) over j < k for each label k: (S, N, C-1) -> (S, N, C)."""
        beyond = two_way(outputs).log_softmax(-1)[..., 1].cumsum(-1) + math.log(2)
        return F.pad(beyond.cumsum(-1), (1, 0))

    def ideal(self, posterior: Tensor) -> Tensor:
        """Return the median of the posterior, the lower one on ties: (M, C) -> (M,)."""
        beyond = 1 - posterior.cumsum(-1)[..., :-1]
        return (beyond > 0.5 + TIE_TOLERANCE).sum(-1)

    def ideal_scores(self, posterior: Tensor) -> Tensor:
        """Return sums of P(label > j) - 1/2 over j < k for each label k: (M, C) -> (M, C)."""
        beyond = 0.5 - TIE_TOLERANCE - posterior.cumsum(-1)[..., :-1]
        return F.pad(beyond.cumsum(-1), (1, 0))

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return P(label > k-1) (1 - sigma(z_k)), for the last label P(label > C-2): (S, N, C-1) -> (S, N, C)."""
        stop, go = two_way(outputs).softmax(-1).unbind(-1)
        beyond = F.pad(go.cumprod(-1), (1, 0), value=1)  # (S, N, C)
        return beyond * F.pad(stop, (0, 1), value=1)

    def _tasks(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return whether each label is larger than j, and whether it is at least j: (S, B) -> (S, B, C-1), int64."""
        ranks = torch.arange(self.out_features, device=target.device)
        return (target[..., None] > ranks).long(), (target[..., None] >= ranks).long()
