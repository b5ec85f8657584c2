"""Functions shared by losses."""

import torch
import torch.nn.functional as F
from torch import Tensor

VECTOR = 64  # a multiple of the elements that a processor takes at once
TIE_TOLERANCE = 1e-6  # a floating-point number this close to a threshold counts as equal to it


def two_way(z: Tensor) -> Tensor:
    """Return two logits (0, z) for each logit z, with the softmax (1 - sigma(z), sigma(z)): any shape -> (..., 2).

    The kernels of ``torch.sigmoid`` and of torch's binary cross-entropy round the last elements of a tensor
    differently from the others, and which these are would depend on S; those of the softmax treat every pair alike.
    """
    return F.pad(z[..., None], (1, 0))


def softmax(logits: Tensor) -> Tensor:
    """Return the softmax over the last axis, which treats all rows alike: (..., C) -> (..., C).

    It is several times as fast as ``torch.softmax`` over an axis of few elements, as it is taken over whole vectors of
    rows. With the padding no row is in a part of one, which is rounded differently.

    Example:
        >>> softmax(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
        tensor([[0.5000, 0.5000],
                [0.1192, 0.8808]])
    """
    columns = logits.flatten(0, -2).T  # (C, rows)
    padded = F.pad(columns, (0, -columns.shape[1] % VECTOR))
    return torch.softmax(padded, dim=0)[:, : columns.shape[1]].T.contiguous().view(logits.shape)
