"""The native engine: training steps of a stack of perceptrons in C, see kernel.c beside this file.

The kernel trains one network after the other, so no seed's results depend on the others, and each network stays in the
processor's cache, which is not so when every operation runs over the whole stack.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.base import Block, Engine, Schedule, output_gradient
from src.engines.flat_parameters import SIMD_WIDTH, FlatParameters
from src.engines.fused_adam import adam_state, is_fused_adam
from src.engines.native.compile import load_kernel
from src.losses.base import Objective
from src.losses.ce import CrossEntropy
from src.losses.mse import MeanSquaredError
from src.models.activations import ACTIVATIONS, IDENTITY, Activation
from src.models.layers import StackedLinear

LOSSES: dict[type, int] = {CrossEntropy: 0, MeanSquaredError: 1}  # whose gradient kernel.c has
CODES = {IDENTITY: 0, ACTIVATIONS["relu"]: 1, ACTIVATIONS["sigmoid"]: 2, ACTIVATIONS["tanh"]: 3}  # as in kernel.c
ROWS = 8  # as in kernel.c
MAX_TILE = 96  # columns of the widest tile of kernel.c
MAX_CHUNK_BYTES = 2**22  # of networks that train together, to stay in a cache that processes share
MAX_STEPS = 64  # of a call of the kernel, during which a signal waits
Layers = list[tuple[StackedLinear, Activation]]


class _Layer(ctypes.Structure):
    """The struct ``layer`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("inputs", "outputs", "stride", "x_step", "y_step", "activation")),
        *((name, ctypes.c_long) for name in ("weight", "weight_step", "bias", "bias_step")),
        *((name, ctypes.c_void_p) for name in ("y", "dz", "gradient", "column", "copy")),
    )


class _Adam(ctypes.Structure):
    """The struct ``adam`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "exp_avg", "exp_avg_sq")),
        *((name, ctypes.c_double) for name in ("lr", "beta1", "beta2", "eps", "weight_decay")),
        ("decoupled", ctypes.c_long),
    )


class _MiniBatches(ctypes.Structure):
    """The struct ``mini_batches`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "target", "y")),
        *((name, ctypes.c_long) for name in ("steps", "stack", "samples")),
    )


@dataclass(frozen=True)
class _Steps:
    """Steps of the optimizer on mini-batches of one size."""

    adams: list[Any]  # of each part the struct of all steps of the block, or those of each
    before: int  # number of steps before the block
    done: int  # number of steps in the block before these

    def at(self, part: int, step: int) -> tuple[_Adam, int, int]:
        """Return the struct of a part for a step, the distance to that of the next, and the number of the step."""
        structs, index = self.adams[part], self.done + step
        stride = int(len(structs) > 1)
        return structs[stride * index], stride, self.before + index + 1


@dataclass(frozen=True)
class _Piece:
    """Consecutive networks of one part, which the kernel trains by one call."""

    part: int  # index of the part, whose buffer they are in
    first: int  # index of the first of them in the stack
    seeds: int  # number of them
    layers: Any  # structs of the layers


class NativeEngine(Engine):
    """Trains affine layers with Adam in the kernel; of a loss that is not in ``LOSSES``, torch computes the gradient.

    Args:
        layers: The affine layers in order, each with the activation of its output.
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: A fused Adam or AdamW of ``flat.parts``.
        scale: Whether the learning rate of each seed is scaled by ``FlatParameters.seed_factors``.
    """

    name = "native"

    def __init__(
        self, layers: Layers, objective: Objective, flat: FlatParameters, optimizer: Optimizer, *, scale: bool = False
    ) -> None:
        self._layers = layers
        self._scale = scale
        self._objective = objective
        self._flat = flat
        self._optimizer = optimizer
        self._max_samples = 0  # of a mini-batch, in the memory that is allocated
        *hidden, last = (layer.weight.shape[2] for layer, _ in layers)
        self._y_steps = [*(-(-width // SIMD_WIDTH) * SIMD_WIDTH for width in hidden), last]  # aligned rows of outputs

    @torch.no_grad()
    def train(self, block: Block, schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, and return the outputs before each step, see ``Engine.train``."""
        first, last = self._layers[0][0].weight, self._layers[-1][0].weight
        block = [(_checked("x", x, (*target.shape, first.shape[1])), target.contiguous()) for x, target in block]
        outputs = [first.new_empty(*target.shape, last.shape[2]) for _, target in block]
        self._flat.gather()
        self._allocate(max(target.shape[2] for _, target in block))
        states = [adam_state(self._optimizer, part) for part in self._flat.parts]
        before, adams = int(states[0]["step"]), []
        for index, (part, state) in enumerate(zip(self._flat.parts, states, strict=True)):
            group = self._optimizer.param_groups[index]
            adams.append(_adams(part, state, [group | own[index] for own in schedule] or [group]))
        whole = type(self._objective) in LOSSES and all(target.dtype == torch.int64 for _, target in block)
        train = self._train_in_kernel if whole else self._train_by_steps
        for chunk, pieces in self._pieces:
            done = 0
            for (x, target), y in zip(block, outputs, strict=True):
                train(chunk, pieces, _Steps(adams, before, done), x, target, y)
                done += len(x)
        for state in states:
            state["step"].fill_(before + done)
        self._flat.scatter()
        return outputs

    def _train_in_kernel(
        self, chunk: slice, pieces: list[_Piece], optimizer: _Steps, x: Tensor, target: Tensor, y: Tensor
    ) -> None:
        """Take the steps of a chunk in the kernel, which has the gradient of the loss."""
        loss, (steps, seeds, samples) = LOSSES[type(self._objective)], target.shape
        for piece, step in product(pieces, range(0, steps, MAX_STEPS)):
            at = (_address(values, step, piece.first) for values in (x, target, y))
            batches = _MiniBatches(*at, min(MAX_STEPS, steps - step), seeds, samples)
            adam = optimizer.at(piece.part, step)
            library()[0].train(piece.layers, len(piece.layers), *adam, piece.seeds, batches, loss, self._factors(piece))

    def _train_by_steps(
        self, chunk: slice, pieces: list[_Piece], optimizer: _Steps, x: Tensor, target: Tensor, y: Tensor
    ) -> None:
        """Take the steps of a chunk, with the gradient of the loss between the two halves of each."""
        kernel, depth, samples = library()[0], len(self._layers), target.shape[2]
        output_gradients = output_gradient(self._objective, chunk)
        for step in range(len(x)):
            for piece in pieces:
                piece.layers[-1].y = _address(y, step, piece.first)
                at, (adam, _, _) = _address(x, step, piece.first), optimizer.at(piece.part, step)
                kernel.forward(piece.layers, depth, adam.values, piece.seeds, samples, at)
            own = y[step, chunk]
            gradient = _checked("the gradient of the loss", output_gradients(own, target[step, chunk]), own.shape)
            for piece in pieces:
                at, (adam, _, t) = _address(x, step, piece.first), optimizer.at(piece.part, step)
                dy = _address(gradient, piece.first - chunk.start)
                kernel.backward(piece.layers, depth, adam, t, piece.seeds, samples, at, dy, self._factors(piece))

    def _factors(self, piece: _Piece) -> int | None:
        """Return the address of the factors of the learning rates of a piece, or None where there are none."""
        factors = self._flat.seed_factors if self._scale else None
        return None if factors is None else _address(factors, piece.first)

    def _chunks(self) -> list[slice]:
        """Return the seeds that train together through all mini-batches: as many as stay in the cache."""
        seeds = len(self._layers[0][0].weight)
        size = max(1, MAX_CHUNK_BYTES * seeds // (3 * self._flat.values.nbytes))  # values and two moments
        return [slice(start, min(start + size, seeds)) for start in range(0, seeds, size)]

    def _allocate(self, samples: int) -> None:
        """Allocate memory for a chunk of seeds and mini-batches of this size, and make the structs that point to it."""
        if samples <= self._max_samples:
            return
        self._max_samples = samples
        chunks = self._chunks()
        seeds = chunks[0].stop
        self._buffers = []  # whose memory the structs point to
        for (layer, _), step in zip(self._layers, self._y_steps, strict=True):
            _, inputs, outputs = layer.weight.shape
            stride = self._flat.storage(layer.weight)[0].stride(1)
            rows = ROWS if outputs >= SIMD_WIDTH else max(ROWS, inputs)  # all rows of a narrow layer
            copied = max(inputs * MAX_TILE, samples * (ROWS + outputs + MAX_TILE))  # columns of W; columns of x, and dz
            shapes = (seeds, samples, step), (samples, step), (rows, stride), (inputs,), (copied,)
            self._buffers.append([layer.weight.new_zeros(shape) for shape in shapes])
        self._pieces = [(chunk, self._pieces_of(chunk)) for chunk in chunks]

    def _pieces_of(self, chunk: slice) -> list[_Piece]:
        """Return the pieces of the parts that are in a chunk."""
        pieces, start = [], 0
        for part, size in enumerate(self._flat.sizes):
            first, last = max(chunk.start, start), min(chunk.stop, start + size)
            if first < last:
                layers = self._structs(part, first - start, first - chunk.start)
                pieces.append(_Piece(part, first, last - first, layers))
            start += size
        return pieces

    def _structs(self, part: int, first: int, offset: int) -> Any:
        """Return the structs of the layers, for networks from the first of a part on, at an offset in the chunk."""
        starts = self._flat.part_starts(part)
        structs = (_Layer * len(self._layers))()
        step = self._layers[0][0].weight.shape[1]
        for struct, (layer, activation), buffers, y_step in zip(
            structs, self._layers, self._buffers, self._y_steps, strict=True
        ):
            weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
            _, struct.inputs, struct.outputs = layer.weight.shape
            struct.stride, struct.activation = weight.stride(1), CODES[activation]
            struct.x_step, struct.y_step, step = step, y_step, y_step
            struct.weight_step, struct.bias_step = weight.stride(0), bias.stride(0)
            struct.weight = starts[layer.weight] + first * struct.weight_step
            struct.bias = starts[layer.bias] + first * struct.bias_step
            y, *others = buffers
            struct.y = y[offset].data_ptr()
            struct.dz, struct.gradient, struct.column, struct.copy = (buffer.data_ptr() for buffer in others)
        return structs


def _address(values: Tensor, *index: int) -> int:
    """Return the address of an element of contiguous values, or of the first of a row."""
    return values.data_ptr() + values.element_size() * sum(map(mul, index, values.stride()))


def _adams(values: Tensor, state: dict[str, Tensor], settings: Sequence[dict[str, Any]]) -> Any:
    """Return the structs of the optimizer of a buffer with each of some settings."""
    buffers = values.data_ptr(), state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()
    names = "eps", "weight_decay", "decoupled_weight_decay"
    structs = (_Adam(*buffers, group["lr"], *group["betas"], *(group[name] for name in names)) for group in settings)
    return (_Adam * len(settings))(*structs)


def _checked(name: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return values as the kernel reads them, contiguous, after a check of their shape and precision."""
    if values.shape != shape or values.dtype != torch.float32:
        expected, found = tuple(shape), tuple(values.shape)
        raise ValueError(f"{name}: expected float32 of shape {expected}, got {values.dtype} of shape {found}")
    return values.contiguous()


def unsupported_reason(layers: Layers, values: Tensor, optimizer: Optimizer) -> str | None:
    """Return why the kernel cannot train a network, in words that follow "the native kernel", or None if it can.

    Args:
        layers: The affine layers of the network in order, each with the activation of its output.
        values: The buffer of its parameters.
        optimizer: The optimizer of the buffer.
    """
    if any(activation not in CODES for _, activation in layers):
        return "lacks an activation of this network"
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return "computes on the CPU and in single precision"
    if not is_fused_adam(optimizer) or optimizer.param_groups[0]["maximize"]:
        return "has only the optimizers adam and adamw, with fused=true and neither amsgrad nor maximize"
    return library()[1]


@cache
def library() -> tuple[Any, str | None]:
    """Return the compiled kernel with its signatures and None, or None and the reason why there is no kernel."""
    kernel, reason = load_kernel()
    if kernel is not None:
        number, pointer = ctypes.c_long, ctypes.c_void_p
        layers, adam, batches = (ctypes.POINTER(struct) for struct in (_Layer, _Adam, _MiniBatches))
        kernel.forward.argtypes = [layers, number, pointer, number, number, pointer]
        kernel.backward.argtypes = [layers, number, adam, number, number, number, pointer, pointer, pointer]
        kernel.train.argtypes = [layers, number, adam, number, number, number, batches, number, pointer]
        kernel.forward.restype = kernel.backward.restype = kernel.train.restype = None
    return kernel, reason
