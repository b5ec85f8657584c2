"""One flat buffer for all parameters of a stacked network, padded so that a seed never notices its neighbours."""

from itertools import accumulate

import torch
from torch import Tensor, nn

LANES = 16  # floats in the widest vector register


class FlatParameters:
    """All parameters of a stacked network, and their gradients, in one buffer each.

    The network's parameters become views of ``values``, and ``backward`` fills its gradient, so one optimizer step on
    the buffer is a step on the network. Each parameter's block is padded to a multiple of 16 floats, and so is each
    seed's: vectorised kernels round the elements of a scalar tail differently, and without the padding, which elements
    fall into that tail would depend on S.

    Args:
        network: A module all of whose parameters lead with the axis S.

    Attributes:
        values: The buffer (S, P), a parameter for the optimizer; P is a multiple of 16.

    Example:
        >>> network = nn.ParameterList([torch.ones(2, 3, 5), torch.ones(2, 1, 5)])
        >>> FlatParameters(network).values.shape
        torch.Size([2, 32])
    """

    def __init__(self, network: nn.Module) -> None:
        self._parameters = list(network.parameters())
        sizes = [parameter[0].numel() for parameter in self._parameters]
        starts = [0, *accumulate(-(-size // LANES) * LANES for size in sizes)]
        self.values = nn.Parameter(self._parameters[0].new_zeros(len(self._parameters[0]), starts.pop()))
        self.values.grad = torch.zeros_like(self.values)
        self._gradients: list[Tensor] = []
        for parameter, start, size in zip(self._parameters, starts, sizes, strict=True):
            block = slice(start, start + size)
            self.values.data[:, block] = parameter.data.flatten(1)
            parameter.data = self.values.data[:, block].view(parameter.shape)
            self._gradients.append(self.values.grad[:, block].view(parameter.shape))

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of a scalar loss into the buffer."""
        for stored, gradient in zip(self._gradients, torch.autograd.grad(loss, self._parameters), strict=True):
            stored.copy_(gradient)
