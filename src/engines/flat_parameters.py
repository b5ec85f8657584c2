"""One flat buffer for all parameters of a stacked network, so that one optimizer step updates every seed."""

import math
from collections.abc import Iterator
from itertools import accumulate

import torch
from torch import Tensor, nn

LANES = 16  # floats in the widest vector register


class FlatParameters:
    """All parameters of a stacked network, and their gradients, in one buffer each.

    The network's parameters become views of ``values``, and whoever fills its gradient makes one optimizer step on the
    buffer a step on the network. Each parameter has a contiguous block (S, ...), so that products of all seeds can be
    written straight into it. Blocks start at multiples of 16 floats, and so does the buffer end: a vector that crosses
    cache lines costs twice, and vectorised kernels round the elements of a scalar tail differently, and which elements
    fall into a tail would depend on S.

    A module may ask for blocks that are larger than its parameters, by an attribute ``storage``: their shapes without
    S, by the parameter's name. What is added stays zero.

    Args:
        network: A module all of whose parameters lead with the axis S.

    Attributes:
        values: The buffer (P,), a parameter for the optimizer; P is a multiple of 16.

    Example:
        >>> network = nn.ParameterList([torch.ones(2, 3, 5), torch.ones(2, 1, 5)])
        >>> FlatParameters(network).values.shape
        torch.Size([48])
    """

    def __init__(self, network: nn.Module) -> None:
        parameters, shapes = zip(*_blocks(network), strict=True)
        self._parameters: tuple[nn.Parameter, ...] = parameters
        sizes = [len(parameter) * math.prod(shape) for parameter, shape in zip(parameters, shapes, strict=True)]
        *starts, total = accumulate((-(-size // LANES) * LANES for size in sizes), initial=0)
        self.values = nn.Parameter(parameters[0].new_zeros(total))
        self.values.grad = torch.zeros_like(self.values)
        self._storage: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}
        self._gradients: list[Tensor] = []
        self._spans = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        self._seeds = len(parameters[0])
        for parameter, shape, start, size in zip(parameters, shapes, starts, sizes, strict=True):
            block, gradient = (
                buffer[start : start + size].view(len(parameter), *shape)
                for buffer in (self.values.data, self.values.grad)
            )
            own = tuple(slice(length) for length in parameter.shape)
            block[own] = parameter.data
            parameter.data = block[own]
            self._storage[parameter] = block, gradient
            self._gradients.append(gradient[own])

    def storage(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """Return the contiguous blocks of a parameter's values and of its gradient, with what was added to them."""
        return self._storage[parameter]

    def rows(self, buffer: Tensor) -> Tensor:
        """Return what each seed has in a buffer like ``values``, as the optimizer keeps some: (P,) -> (S, P / S)."""
        return torch.cat([buffer[span].view(self._seeds, -1) for span in self._spans], dim=1)

    def from_rows(self, rows: Tensor) -> Tensor:
        """Return the buffer in which each seed has what a row says; undoes ``rows``."""
        buffer = self.values.new_zeros(self.values.shape, requires_grad=False)
        widths = [(span.stop - span.start) // self._seeds for span in self._spans]
        for span, block in zip(self._spans, rows.split(widths, dim=1), strict=True):
            buffer[span] = block.flatten()
        return buffer

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of a scalar loss into the buffer."""
        for stored, gradient in zip(self._gradients, torch.autograd.grad(loss, self._parameters), strict=True):
            stored.copy_(gradient)


def _blocks(network: nn.Module) -> Iterator[tuple[nn.Parameter, tuple[int, ...]]]:
    """Yield every parameter with the shape of its block, without S."""
    for module in network.modules():
        storage = getattr(module, "storage", {})
        for name, parameter in module.named_parameters(recurse=False):
            yield parameter, storage.get(name, tuple(parameter.shape[1:]))
