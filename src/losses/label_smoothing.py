"""Cross-entropy with a target that is mixed with the uniform distribution, decided by argmax."""

import torch
import torch.nn.functional as F
from scipy.stats import entropy
from torch import Tensor

from src.losses.ce import CrossEntropy
from src.utils.validation import check, number


class LabelSmoothing(CrossEntropy):
    r"""C logits z, loss -\sum_k q_k ln softmax(z)_k with q = (1 - smoothing) onehot + smoothing / C.

    The loss cannot reach zero: its infimum is the entropy of q. Its minimiser is a mixture of the posterior and the
    uniform distribution, so the probabilities are not calibrated.

    Source: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, Rethinking the Inception architecture, CVPR 2016, section 7.

    Args:
        classes: Number of classes C.
        smoothing: Share of the uniform distribution, in [0, 1).

    Attributes:
        floor: The infimum of the loss.

    Raises:
        SettingsError: If the share is out of its range.
    """

    def __init__(self, classes: int, *, smoothing: float) -> None:
        super().__init__(classes)
        check(number("smoothing", smoothing, min_value=0, below=1))
        self.smoothing = smoothing
        rest = [smoothing / classes] * (classes - 1)
        self.floor = float(entropy([1 - sum(rest), *rest]))

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the cross-entropy with q in nats: (S, B, C), (S, B) -> (S,)."""
        return -(self._smoothed(outputs, target) * torch.log_softmax(outputs, dim=-1)).sum(-1).mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (softmax - q) / B: (S, B, C), (S, B) -> (S, B, C)."""
        return (torch.softmax(outputs, dim=-1) - self._smoothed(outputs, target)) / target.shape[-1]

    def _smoothed(self, outputs: Tensor, target: Tensor) -> Tensor:
        right = F.one_hot(target, self.out_features).to(outputs.dtype)
        return (1 - self.smoothing) * right + self.smoothing / self.out_features
