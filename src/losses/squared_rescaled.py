"""Rescaled squared error: the true class of a one-hot target has its own weight and value."""

import torch.nn.functional as F
from torch import Tensor

from src.losses.base import Scores
from src.utils.validation import check, number


class RescaledSquaredError(Scores):
    r"""C outputs z, loss 1/C [k (z_target - M)^2 + \sum_{j != target} z_j^2], decision by argmax.

    k and M apply to the true class alone: k is the weight of its error, M its target value. With
    k = M = 1, which the authors use up to 42 classes, this is the mean squared error to the one-hot target; for a
    thousand classes they use k = 15 and M = 30. The outputs are not probabilities.

    Source: Hui & Belkin, Evaluation of neural architectures trained with square loss vs cross-entropy in
    classification tasks, ICLR 2021, section 3.

    Args:
        classes: Number of classes C.
        k: Weight of the true class, above 0.
        M: Target of the true class, above 0.

    Raises:
        SettingsError: If k or M is out of its range.

    Example:
        >>> import torch
        >>> objective = RescaledSquaredError(2, k=5, M=3)
        >>> objective.loss(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[0]]))  # (5 (1 - 3)^2 + 2^2) / 2
        tensor([12.])
    """

    def __init__(self, classes: int, *, k: float, M: float) -> None:  # noqa: N803 - the paper's names
        super().__init__(classes)
        check(number("k", k, above=0), number("M", M, above=0))
        self.k = k
        self.target_value = M

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean over B of the weighted squared error: (S, B, C), (S, B) -> (S,)."""
        weight, error = self._weight_and_error(outputs, target)
        return (weight * error.square()).mean((-2, -1))

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return 2 weight error / (B C), the gradient of the summed losses: (S, B, C), (S, B) -> (S, B, C)."""
        weight, error = self._weight_and_error(outputs, target)
        return weight * error * (2 / (target.shape[-1] * self.out_features))

    def _weight_and_error(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        right = F.one_hot(target, self.out_features).to(outputs.dtype)
        return 1 + (self.k - 1) * right, outputs - self.target_value * right
