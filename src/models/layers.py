"""Affine layers with a leading S axis, whose results do not depend on S."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

INITS = ("normal", "kaiming")
MAX_STD = 1e30  # of initial parameters; single precision ends at 3.4e38
ALIGNMENT = 4  # floats in 16 bytes


def aligned(x: Tensor, rows: int) -> Tensor:
    """Return samples padded by rows of zeros to a multiple of ``rows``: (S, B, D) -> (S, B + padding, D).

    MKL rounds a product differently where its matrices do not start at a multiple of 16 bytes, which without the
    padding would depend on a seed's index in the stack. The caller drops the padded rows of the outputs, so they have
    no gradient.

    Example:
        >>> aligned(torch.ones(1, 5, 2), 4).shape
        torch.Size([1, 8, 2])
    """
    return F.pad(x, (0, 0, 0, -x.shape[1] % rows))


class StackedLinear(nn.Module):
    """S independent affine maps x W + b.

    Each seed's results are the same, bit for bit, in a stack of any size if the samples are ``aligned``.

    Args:
        seeds: Number of seeds S.
        in_features: Width of the input.
        out_features: Width of the output.

    Attributes:
        storage: Shapes without S, by the parameter's name, with the padding that aligns each seed's products.
        padding: The numbers of rows and columns of zeros that pad the weight.
    """

    def __init__(self, seeds: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(seeds, 1, out_features))
        rows, columns = _padded(in_features, out_features)
        self.storage = {"weight": (rows, columns), "bias": (1, columns)}
        self.padding = rows - in_features, columns - out_features

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's samples: (S, B, in) -> (S, B, out)."""
        rows, columns = self.padding
        if rows == columns == 0:
            return torch.baddbmm(self.bias, x, self.weight)
        bias, weight = F.pad(self.bias, (0, columns)), F.pad(self.weight, (0, columns, 0, rows))
        return torch.baddbmm(bias, F.pad(x, (0, rows)), weight)[..., : self.bias.shape[2]]

    def of_columns(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Map samples of a single seed, as columns, of which only some inputs are not 0.

        Args:
            x: These inputs (I, B).
            inputs: Their indices (I,).

        Returns:
            The outputs (out, B).
        """
        return torch.addmm(self.bias[0].mT, self.weight[0].index_select(0, inputs).mT, x)

    @torch.no_grad()
    def reset(self, generators: Sequence[Generator], init: str, init_std: float, gain: float) -> None:
        """Draw the parameters of each seed from its own generator, weight before bias.

        Args:
            generators: One generator per seed.
            init: ``normal``: all parameters from N(0, init_std^2); ``kaiming``: weights from N(0, gain^2 / in),
                biases zero (He et al. 2015).
            init_std: Standard deviation of ``normal``.
            gain: Gain of the activation that follows, for ``kaiming``.
        """
        for weight, bias, generator in zip(self.weight, self.bias, generators, strict=True):
            if init == "normal":
                weight.normal_(0, init_std, generator=generator)
                bias.normal_(0, init_std, generator=generator)
            else:
                weight.normal_(0, gain / math.sqrt(len(weight)), generator=generator)
                bias.zero_()


def alignment(layers: Sequence[StackedLinear]) -> int:
    """Return the number of rows of which samples must have a multiple to be ``aligned`` at every width of some layers.

    Example:
        >>> alignment([StackedLinear(1, 2, 50)]), alignment([StackedLinear(1, 2, 7)])
        (2, 4)
    """
    shapes = [shape for layer in layers for shape in (layer.weight.shape[1:], layer.storage["weight"])]
    return ALIGNMENT // math.gcd(ALIGNMENT, *(width for shape in shapes for width in shape))


def _padded(in_features: int, out_features: int) -> tuple[int, int]:
    """Return the shape of a padded weight: at least (2, 2), as vectors round differently, and 16 n bytes per seed."""
    rows = max(in_features, 2)
    step = ALIGNMENT // math.gcd(rows, ALIGNMENT)
    return rows, -(-max(out_features, 2) // step) * step
