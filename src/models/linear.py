"""A single affine layer as a model."""

from collections.abc import Sequence

from torch import Generator, Tensor, nn

from src.models.activations import IDENTITY, Activation
from src.models.layers import INITS, MAX_STD, StackedLinear, aligned, alignment
from src.utils.validation import check, choice, number


class Linear(nn.Module):
    """One affine layer from the features to the outputs.

    Args:
        in_features: Number of features D.
        out_features: Number of outputs O.
        generators: One generator per seed, for the initial parameters.
        init: ``normal`` or ``kaiming``.
        init_std: Standard deviation of the initial parameters for ``normal``, above 0.

    Raises:
        SettingsError: If an argument is out of its range.

    Attributes:
        layers: The affine layers in order, each with the activation of its output.
    """

    layers: list[tuple[StackedLinear, Activation]]

    def __init__(
        self, in_features: int, out_features: int, generators: Sequence[Generator], *, init: str, init_std: float
    ) -> None:
        super().__init__()
        check(choice("init", init, INITS), number("init_std", init_std, above=0, below=MAX_STD))
        self.head = StackedLinear(len(generators), in_features, out_features)
        self.head.reset(generators, init, init_std, gain=1.0)
        self.rows = alignment([self.head])
        self.layers = [(self.head, IDENTITY)]

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's samples: (S, B, D) -> (S, B, O)."""
        return self.head(aligned(x, self.rows))[:, : x.shape[1]]

    def linear(self) -> tuple[Tensor, Tensor]:
        """Return the weights (S, D, O) and biases (S, O)."""
        return self.head.weight, self.head.bias[:, 0]
