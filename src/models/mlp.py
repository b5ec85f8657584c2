"""The multilayer perceptron with a leading S axis."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from src.models.activations import ACTIVATIONS, IDENTITY, Activation
from src.models.layers import INITS, MAX_STD, StackedLinear, aligned, alignment
from src.utils.validation import Problem, check, choice, number

MAX_WEIGHTS = 10_000_000
MANY = 1024  # samples from which on it pays to look for dead units


class MLP(nn.Module):
    """S independent multilayer perceptrons.

    The trunk's parameters are drawn before the head's, so two objectives with different output widths start from the
    same trunk.

    Args:
        in_features: Number of features D.
        out_features: Number of outputs O.
        generators: One generator per seed, for the initial parameters.
        hidden: Width of each hidden layer, at least one layer, each at least 1.
        activation: ``relu``, ``sigmoid`` or ``tanh``.
        init: ``normal``: all parameters from N(0, init_std^2); ``kaiming``: weights from N(0, gain^2 / fan-in),
            biases zero.
        init_std: Standard deviation of the initial parameters for ``normal``, above 0.

    Raises:
        SettingsError: If an argument is out of its range.

    Attributes:
        layers: The affine layers in order, each with the activation of its output.
    """

    layers: list[tuple[StackedLinear, Activation]]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        generators: Sequence[Generator],
        *,
        hidden: Sequence[int],
        activation: str,
        init: str,
        init_std: float,
    ) -> None:
        super().__init__()
        check(
            _widths(hidden),
            choice("activation", activation, ACTIVATIONS),
            choice("init", init, INITS),
            number("init_std", init_std, above=0, below=MAX_STD),
        )
        self.activation = ACTIVATIONS[activation]
        seeds, widths = len(generators), [in_features, *hidden]
        trunk = [StackedLinear(seeds, *pair) for pair in pairwise(widths)]
        self.trunk = nn.ModuleList(trunk)
        self.head = StackedLinear(seeds, widths[-1], out_features)
        for layer in trunk:
            layer.reset(generators, init, init_std, self.activation.gain)
        self.head.reset(generators, init, init_std, gain=1.0)
        self.rows = alignment([*trunk, self.head])
        self.layers = [*((layer, self.activation) for layer in trunk), (self.head, IDENTITY)]

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's samples: (S, B, D) -> (S, B, O)."""
        hidden = aligned(x, self.rows)
        for layer, activation in self.layers:
            hidden = activation.value(layer(hidden))  # (S, B + padding, width)
        return hidden[:, : x.shape[1]]

    def evaluate_seed(self, x: Tensor) -> Tensor:
        """Map samples of a single seed, (1, B, D) -> (1, B, O), as ``forward`` does up to rounding.

        Many samples are columns, in which MKL multiplies faster, and units that are 0 for all of them are left out of
        the next product: of a trained network with ReLUs often most.
        """
        if x.shape[1] < MANY:
            return self.forward(x)
        columns, used = x[0].mT, torch.arange(x.shape[2], device=x.device)
        for layer, activation in self.layers[:-1]:
            columns = activation.value(layer.of_columns(columns, used))  # (width, B)
            used = (columns.amax(1) != 0).logical_or_(columns.amin(1) != 0).nonzero()[:, 0]
            columns = columns.index_select(0, used)
        return self.head.of_columns(columns, used).mT[None]


def _widths(hidden: Sequence[int]) -> Problem | None:
    listed = list(hidden) if isinstance(hidden, list | tuple) else []
    good = listed and all(type(width) is int and width >= 1 for width in listed)
    if good and sum(a * b for a, b in pairwise([1, *listed])) > MAX_WEIGHTS:
        return Problem("hidden", f"widths with at most {MAX_WEIGHTS:,} weights between them", hidden)
    return None if good else Problem("hidden", "a list of one or more whole numbers of at least 1", hidden)
