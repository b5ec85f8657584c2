"""One flat buffer for all parameters of a stacked network, so that one optimizer step updates every seed."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

SIMD_WIDTH = 16  # floats in the widest vector register
ALL = slice(None)


class FlatParameters:
    """All parameters of a stacked network, and their gradients, in one buffer each.

    The network's parameters become views of ``values``, so that one optimizer step on the buffer is a step of the
    network. Each parameter has a contiguous block (S, ...), so that products of all seeds can be written straight into
    it. Blocks start at multiples of 16 floats, and the buffer ends at one: a vector that crosses cache lines costs
    twice, and vectorised kernels round the elements of a scalar tail differently, which would make results depend on S.

    A module can have blocks larger than its parameters, by an attribute ``storage``: their shapes without S, by the
    parameter's name. The padding stays zero.

    The networks can be parts of several conditions, each with settings of the optimizer of its own. An optimizer has
    one value of a setting per group, so each part then has a buffer for a group, which is laid out as if the part were
    alone: its steps round as they do alone. ``gather`` and ``scatter`` copy between these and ``values``.

    Args:
        network: A module all of whose parameters lead with the axis S.
        sizes: The number of networks of each part; None for one part.

    Attributes:
        values: The buffer (P,), a parameter for the optimizer; P is a multiple of 16.
        parts: The buffer of each part for the optimizer, which is ``values`` where there is one part.
        sizes: The number of networks of each part.
        seed_factors: What the learning rate of each seed is multiplied by, (S,); None before there are any.

    Example:
        >>> network = nn.ParameterList([torch.ones(2, 3, 5), torch.ones(2, 1, 5)])
        >>> FlatParameters(network).values.shape
        torch.Size([48])
    """

    def __init__(self, network: nn.Module, sizes: Sequence[int] | None = None) -> None:
        parameters, shapes = zip(*_blocks(network), strict=True)
        self._parameters: tuple[nn.Parameter, ...] = parameters
        self._widths = [math.prod(shape) for shape in shapes]  # of one network in each block
        self._seeds = len(parameters[0])
        self._spans, total = self._layout(self._seeds)
        self.values = nn.Parameter(parameters[0].new_zeros(total))
        self.values.grad = self._gradient = torch.zeros_like(self.values.data)
        self.seed_factors: Tensor | None = None
        self._step_factors: Tensor | None = None  # (P,)
        self._storage: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}
        self._gradients: list[Tensor] = []
        for parameter, shape, span in zip(parameters, shapes, self._spans, strict=True):
            block, gradient = (
                buffer[span].view(len(parameter), *shape) for buffer in (self.values.data, self.values.grad)
            )
            own = tuple(slice(length) for length in parameter.shape)
            block[own] = parameter.data
            parameter.data = block[own]
            self._storage[parameter] = block, gradient
            self._gradients.append(gradient[own])
        self.sizes = [self._seeds] if sizes is None else list(sizes)
        self.parts = [self.values]
        if len(self.sizes) > 1:
            self.parts = [self._part(size) for size in self.sizes]
            self._value_views = self._views(lambda buffer: buffer.data)
            self._gradient_views = self._views(lambda buffer: buffer.grad)
            self.gather()

    def _layout(self, seeds: int) -> tuple[list[slice], int]:
        """Return where the blocks of so many networks are in a buffer, and its size."""
        sizes = [seeds * width for width in self._widths]
        *starts, total = accumulate((-(-size // SIMD_WIDTH) * SIMD_WIDTH for size in sizes), initial=0)
        return [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)], total

    def _part(self, seeds: int) -> nn.Parameter:
        """Return a buffer for so many networks, with its gradient."""
        part = nn.Parameter(self.values.new_zeros(self._layout(seeds)[1], requires_grad=False))
        part.grad = torch.zeros_like(part.data)
        return part

    def _views(self, of: Callable[[nn.Parameter], Any]) -> tuple[list[Tensor], list[Tensor]]:
        """Return views of each block of each part, in the whole buffer and in that of the part."""
        whole, own = [], []
        first = 0
        for part, seeds in zip(self.parts, self.sizes, strict=True):
            for span, width, place in zip(self._spans, self._widths, self._layout(seeds)[0], strict=True):
                start = span.start + first * width
                whole.append(of(self.values)[start : start + seeds * width])
                own.append(of(part)[place])
            first += seeds
        return whole, own

    def part_starts(self, part: int) -> dict[nn.Parameter, int]:
        """Return the index of the block of each parameter in the buffer of a part."""
        spans, _ = self._layout(self.sizes[part])
        return {parameter: span.start for parameter, span in zip(self._parameters, spans, strict=True)}

    @torch.no_grad()
    def gather(self) -> None:
        """Copy ``values`` into the buffers of the parts."""
        if len(self.parts) > 1:
            whole, own = self._value_views
            torch._foreach_copy_(own, whole)

    @torch.no_grad()
    def scatter(self) -> None:
        """Copy the buffers of the parts into ``values``."""
        if len(self.parts) > 1:
            whole, own = self._value_views
            torch._foreach_copy_(whole, own)

    def by_parts(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that changes ``values`` by its gradient, from one that does so for each part."""
        if len(self.parts) == 1:
            return step

        @torch.no_grad()
        def step_of_parts() -> None:
            whole, own = self._gradient_views
            torch._foreach_copy_(own, whole)
            step()
            self.scatter()

        return step_of_parts

    def storage(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """Return the contiguous blocks of a parameter's values and of its gradient, padding included."""
        return self._storage[parameter]

    def rows(self, buffer: Tensor, seeds: Tensor | slice = ALL) -> Tensor:
        """Return one row for each of some seeds, n of them, of a buffer like ``values``: (P,) -> (n, P / S)."""
        return torch.cat([buffer[span].view(self._seeds, -1)[seeds] for span in self._spans], dim=1)

    def put_rows(self, buffer: Tensor, rows: Tensor, seeds: Tensor | slice = ALL) -> None:
        """Write rows, (n, P / S), in the places of some seeds, n of them, into a buffer like ``values``, (P,)."""
        for span, block in zip(self._spans, rows.split(self._widths, dim=1), strict=True):
            buffer[span].view(self._seeds, -1)[seeds] = block

    def from_rows(self, rows: Tensor) -> Tensor:
        """Return the buffer with these rows, (S, P / S) -> (P,); the inverse of ``rows``."""
        buffer = self.values.new_zeros(self.values.shape, requires_grad=False)
        self.put_rows(buffer, rows)
        return buffer

    def split_state(
        self, state: Mapping[str, Any], seeds: Tensor | slice = ALL
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Split an optimizer's state of ``values`` into the rows of some seeds and what all seeds share."""
        by_seed = {
            name: self.rows(value, seeds)
            for name, value in state.items()
            if getattr(value, "shape", None) == self.values.shape
        }
        return by_seed, {name: value for name, value in state.items() if name not in by_seed}

    def set_factors(self, factors: Tensor) -> None:
        """Set what the learning rate of each seed is multiplied by, (S,)."""
        self.seed_factors = factors.to(self.values).contiguous()
        self._step_factors = None

    def scaled_step(self, step: Callable[[], Any]) -> None:
        """Call what changes the values, and scale the change of each seed by its factor.

        The whole buffer is interpolated at once, as the elements of a scalar tail would be rounded differently; a
        factor of 1 leaves the values of the step.
        """
        if self.seed_factors is None:
            step()
            return
        if self._step_factors is None:
            self._step_factors = self.from_rows(self.seed_factors[:, None].expand(-1, sum(self._widths)))
        before = self.values.detach().clone()
        step()
        torch.lerp(before, self.values.data, self._step_factors, out=self.values.data)

    def clip_norm(self, max_norm: float) -> None:
        """Scale the gradient of each seed down to a norm, as ``torch.nn.utils.clip_grad_norm_`` does of one network."""
        gradients = self._seed_gradients()
        blocks = torch.stack([gradient.norm(dim=1) for gradient in gradients], dim=1)  # (S, blocks)
        norms = blocks.norm(dim=1)  # over the last axis, as over another it would be rounded differently for S = 1
        factors = (max_norm / (norms + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factors[:, None])

    def clip_value(self, max_value: float) -> None:
        """Clip every element of the gradient to an absolute value."""
        for gradient in self._seed_gradients():
            gradient.clamp_(-max_value, max_value)

    def accumulate(self, count: int, *, first: bool) -> None:
        """Add the gradient, divided by a count, to those since the first."""
        if first:
            self._accumulated = torch.zeros_like(self._gradient)
        self._accumulated += self._gradient / count

    def use_accumulated(self) -> None:
        """Put the accumulated gradient in the place of the last one."""
        self._gradient.copy_(self._accumulated)

    def _seed_gradients(self) -> list[Tensor]:
        """Return views of the gradient of each parameter, (S, n)."""
        return [self._gradient[span].view(self._seeds, -1) for span in self._spans]

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
