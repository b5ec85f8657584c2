"""One binary cross-entropy per class, that class against the rest, decided by argmax."""

import torch.nn.functional as F
from torch import Tensor

from src.losses._functional import two_way
from src.losses.base import Scores


class OneVsRest(Scores):
    r"""C logits z, loss 1/C \sum_k of the binary cross-entropy of sigma(z_k) with 1[k = target], decision by argmax.

    The probabilities are sigma(z_k) divided by their sum over the classes, as in scikit-learn's
    OneVsRestClassifier.

    Source: Rifkin & Klautau, In defense of one-vs-all classification, JMLR 5 (2004).

    Args:
        classes: Number of classes C.
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B and C of the binary cross-entropies in nats: (S, B, C), (S, B) -> (S,)."""
        right = F.one_hot(target, self.out_features)[..., None]
        return -two_way(outputs).log_softmax(-1).gather(-1, right)[..., 0].mean((-2, -1))

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (sigma(z) - onehot) / (B C), the gradient of the summed losses: (S, B, C), (S, B) -> (S, B, C)."""
        error = two_way(outputs).softmax(-1)[..., 1] - F.one_hot(target, self.out_features)
        return error / (self.out_features * target.shape[-1])

    def probabilities(self, outputs: Tensor) -> Tensor:
        r"""Return sigma(z_k) / \sum_j sigma(z_j): (S, N, C) -> (S, N, C)."""
        return F.logsigmoid(outputs).softmax(-1)  # in logarithms, as all sigmoids may underflow
