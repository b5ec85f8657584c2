"""The focal loss: cross-entropy with less weight on samples that are classified with confidence."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.losses.ce import CrossEntropy
from src.utils.validation import check, number

_BLOCK = 32  # floats in two AVX-512 registers, which the kernel of torch.pow processes at once


class FocalLoss(CrossEntropy):
    r"""C logits z, loss -(1 - p)^gamma ln p with p = softmax(z)_target, decision by argmax.

    gamma = 0 is the cross-entropy. Its minimiser is a softmax that is less confident than the posterior.

    Source: Lin, Goyal, Girshick, He & Dollar, Focal loss for dense object detection, ICCV 2017, equation 4, for C
    classes and without their class weights alpha.

    Args:
        classes: Number of classes C.
        gamma: Exponent of the weight, at least 0.

    Raises:
        SettingsError: If gamma is out of its range.
    """

    def __init__(self, classes: int, *, gamma: float) -> None:
        super().__init__(classes)
        check(number("gamma", gamma, min_value=0))
        self.gamma = gamma

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the focal loss: (S, B, C), (S, B) -> (S,)."""
        wrong = torch.softmax(outputs, dim=-1) * (1 - F.one_hot(target, self.out_features))  # (S, B, C)
        return -(self._weight(wrong.sum(-1)) * self._log_p(outputs, target)).mean(-1)

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return (1-p)^gamma (gamma p ln p / (1-p) - 1) (onehot - softmax) / B: (S, B, C), (S, B) -> (S, B, C)."""
        softmax = torch.softmax(outputs, dim=-1)
        right = F.one_hot(target, self.out_features)
        wrong = softmax * (1 - right)
        rest = wrong.sum(-1)  # 1 - p, without the cancellation
        p = softmax.gather(-1, target[..., None])[..., 0]
        slope = torch.where(rest > 0, self._log_p(outputs, target) / rest, -1)  # ln p / (1 - p), which tends to -1
        factor = self._weight(rest) * (self.gamma * p * slope - 1) / target.shape[-1]  # (S, B)
        return factor[..., None] * (right * rest[..., None] - wrong)

    def _log_p(self, outputs: Tensor, target: Tensor) -> Tensor:
        return torch.log_softmax(outputs, dim=-1).gather(-1, target[..., None])[..., 0]

    def _weight(self, rest: Tensor) -> Tensor:
        """Return rest^gamma, (S, B), computed in whole blocks: the kernel rounds the tail of a tensor differently."""
        size = rest.shape[-1]
        tiny = torch.finfo(rest.dtype).tiny  # the power of zero has no finite gradient if gamma is below 1
        return F.pad(rest.clamp_min(tiny), (0, -size % _BLOCK), value=1).pow(self.gamma)[..., :size]
