"""Affine layers with a leading S axis, and the model that is one such layer."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from src.checks import check, choice, number

INITS = ("normal", "kaiming")


class StackedLinear(nn.Module):
    """S independent affine maps x W + b.

    Args:
        seeds: Number of seeds S.
        in_features: Width of the input.
        out_features: Width of the output.
    """

    def __init__(self, seeds: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(seeds, 1, out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's points: (S, B, in) -> (S, B, out)."""
        return torch.baddbmm(self.bias, x, self.weight)

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
    """

    def __init__(
        self, in_features: int, out_features: int, generators: Sequence[Generator], *, init: str, init_std: float
    ) -> None:
        super().__init__()
        check(choice("init", init, INITS), number("init_std", init_std, above=0))
        self.head = StackedLinear(len(generators), in_features, out_features)
        self.head.reset(generators, init, init_std, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's points: (S, B, D) -> (S, B, O)."""
        return self.head(x)
