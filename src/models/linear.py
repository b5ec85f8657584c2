"""Affine layers with a leading S axis, and the model that is one such layer."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from src.models.activations import IDENTITY, Activation
from src.utils.validation import check, choice, number

MOST_STD = 1e30  # single precision ends at 3.4e38
INITS = ("normal", "kaiming")
ALIGNMENT = 4  # floats in 16 bytes


def aligned(x: Tensor, rows: int) -> Tensor:
    """Copy points, with rows of zeros up to a multiple of ``rows``, so that each seed's products start at 16 bytes.

    MKL rounds a product by whether its matrices lie at multiples of 16 bytes. Without the padding that would depend
    on a seed's place in the stack. The caller drops the rows from what it computes, and so they have no gradient.

    Example:
        >>> aligned(torch.ones(1, 5, 2), 4).shape
        torch.Size([1, 8, 2])
    """
    return F.pad(x, (0, 0, 0, -x.shape[1] % rows))


class StackedLinear(nn.Module):
    """S independent affine maps x W + b.

    Each seed's results are the same, bit for bit, in a stack of any size if the points are ``aligned``.

    Args:
        seeds: Number of seeds S.
        in_features: Width of the input.
        out_features: Width of the output.

    Attributes:
        storage: Shapes without S, by the parameter's name, that make each seed's products aligned ones of matrices.
    """

    def __init__(self, seeds: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(seeds, 1, out_features))
        rows, columns = _padded(in_features, out_features)
        self.storage = {"weight": (rows, columns), "bias": (1, columns)}

    @property
    def padding(self) -> tuple[int, int]:
        """The rows and columns of zeros to add to the weight."""
        rows, columns = self.storage["weight"]
        return rows - self.weight.shape[1], columns - self.weight.shape[2]

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's points: (S, B, in) -> (S, B, out)."""
        rows, columns = self.padding
        if rows == columns == 0:
            return torch.baddbmm(self.bias, x, self.weight)
        bias, weight = F.pad(self.bias, (0, columns)), F.pad(self.weight, (0, columns, 0, rows))
        return torch.baddbmm(bias, F.pad(x, (0, rows)), weight)[..., : self.bias.shape[2]]

    @torch.no_grad()
    def reset(self, generators: Sequence[Generator], init: str, init_std: float, gain: float) -> None:
        """Draw the parameters of each seed from its own generator, weight before bias.

        Args:
            generators: One generator a seed.
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
    """Return of how many rows points must have a multiple, to be ``aligned`` at every width of some layers.

    Example:
        >>> alignment([StackedLinear(1, 2, 50)]), alignment([StackedLinear(1, 2, 7)])
        (2, 4)
    """
    shapes = [shape for layer in layers for shape in (layer.weight.shape[1:], layer.storage["weight"])]
    return ALIGNMENT // math.gcd(ALIGNMENT, *(width for shape in shapes for width in shape))


def _padded(in_features: int, out_features: int) -> tuple[int, int]:
    """Return the rows and columns of a padded weight: no vector, and a multiple of 16 bytes a seed."""
    rows = max(in_features, 2)
    step = ALIGNMENT // math.gcd(rows, ALIGNMENT)
    return rows, -(-max(out_features, 2) // step) * step


class Linear(nn.Module):
    """One affine layer from the features to the outputs.

    Args:
        in_features: Number of features D.
        out_features: Number of outputs O.
        generators: One generator a seed, for the initial parameters.
        init: ``normal`` or ``kaiming``.
        init_std: Standard deviation of the initial parameters for ``normal``, above 0.

    Raises:
        SettingsError: If an argument is out of its range.

    Attributes:
        layers: The affine layers in order, each with what is applied to its output.
    """

    layers: list[tuple[StackedLinear, Activation]]

    def __init__(
        self, in_features: int, out_features: int, generators: Sequence[Generator], *, init: str, init_std: float
    ) -> None:
        super().__init__()
        check(choice("init", init, INITS), number("init_std", init_std, above=0, below=MOST_STD))
        self.head = StackedLinear(len(generators), in_features, out_features)
        self.head.reset(generators, init, init_std, gain=1.0)
        self.rows = alignment([self.head])
        self.layers = [(self.head, IDENTITY)]

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's points: (S, B, D) -> (S, B, O)."""
        return self.head(aligned(x, self.rows))[:, : x.shape[1]]

    def linear(self) -> tuple[Tensor, Tensor]:
        """Return the weights (S, D, O) and biases (S, O)."""
        return self.head.weight, self.head.bias[:, 0]
