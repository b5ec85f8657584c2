"""Mean squared error to the one-hot target, decided by argmax."""

import torch.nn.functional as F
from torch import Tensor

from src.losses.base import Scores


class OneHotMeanSquaredError(Scores):
    r"""C outputs y, loss 1/C \sum_k (y_k - 1[k = target])^2, decision by argmax.

    The outputs need not lie in [0, 1] nor sum to one, so they are not probabilities.

    Args:
        classes: Number of classes C.
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B and C of the squared error: (S, B, C), (S, B) -> (S,)."""
        return (outputs - F.one_hot(target, self.out_features)).square().mean((-2, -1))

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return 2 (y_k - 1[k = target]) / (B C): (S, B, C), (S, B) -> (S, B, C)."""
        return (outputs - F.one_hot(target, self.out_features)).mul_(2 / outputs[0].numel())
