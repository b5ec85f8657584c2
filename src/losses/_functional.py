"""Functions shared by losses."""

import torch.nn.functional as F
from torch import Tensor

TIE_TOLERANCE = 1e-6  # a floating-point number this close to a threshold counts as equal to it


def two_way(z: Tensor) -> Tensor:
    """Return two logits (0, z) for each logit z, with the softmax (1 - sigma(z), sigma(z)): any shape -> (..., 2).

    The kernels of ``torch.sigmoid`` and of torch's binary cross-entropy round the last elements of a tensor
    differently from the others, and which these are would depend on S; those of the softmax treat every pair alike.
    """
    return F.pad(z[..., None], (1, 0))
