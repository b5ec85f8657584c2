"""Binary classification by each of several logits."""

import torch.nn.functional as F
from torch import Tensor


def two_way(z: Tensor) -> Tensor:
    """Return the pairs of logits (0, z), whose softmax is (1 - sigma(z), sigma(z)): any shape -> (..., 2).

    The kernels of ``torch.sigmoid`` and of torch's binary cross-entropy round the last elements of a tensor
    differently from the others, and which these are would depend on S; those of the softmax treat every pair alike.
    """
    return F.pad(z[..., None], (1, 0))
