"""The native engine: training steps of a stack of perceptrons in C, see kernel.c beside this file.

The kernel trains one network after the other, so no seed's results depend on the others, and each network stays in the
processor's cache, which is not so when every operation runs over the whole stack.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.base import Block, Engine, Schedule, Settings, output_gradient
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
        *((name, ctypes.c_long) for name in ("inputs", "outputs", "stride", "activation")),
        *((name, ctypes.c_long) for name in ("weight", "weight_step", "bias", "bias_step")),
        *((name, ctypes.c_void_p) for name in ("y", "dz", "gradient", "column", "copy")),
    )


class _Adam(ctypes.Structure):
    """The struct ``optimizer`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "exp_avg", "exp_avg_sq")),
        *((name, ctypes.c_float) for name in ("step_size", "inv_bias_correction2_sqrt")),
        *((name, ctypes.c_float) for name in ("one_minus_beta1", "one_minus_beta2")),
        *((name, ctypes.c_float) for name in ("eps", "weight_decay", "weight_scale")),
    )


class _MiniBatches(ctypes.Structure):
    """The struct ``mini_batches`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "target", "y")),
        *((name, ctypes.c_long) for name in ("steps", "stack", "samples")),
    )


@dataclass(frozen=True)
class _Piece:
    """Consecutive networks of one part, which the kernel trains by one call."""

    part: int  # index of the part, whose buffer they are in
    first: int  # index of the first of them in the stack
    seeds: int  # number of them
    layers: Any  # structs of the layers


class NativeEngine(Engine):
    """Trains affine layers with Adam in the kernel; torch computes the gradient of the loss only.

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

    @torch.no_grad()
    def train(self, block: Block, schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, and return the outputs before each step, see ``Engine.train``."""
        first, last = self._layers[0][0].weight, self._layers[-1][0].weight
        block = [(_checked("x", x, (*target.shape, first.shape[1])), target.contiguous()) for x, target in block]
        outputs = [first.new_empty(*target.shape, last.shape[2]) for _, target in block]
        self._flat.gather()
        self._allocate(max(target.shape[2] for _, target in block))
        optimizers = self._optimizers(sum(len(target) for _, target in block), schedule)
        train = self._train_in_kernel if type(self._objective) in LOSSES else self._train_by_steps
        for chunk, pieces in self._pieces:
            done = 0
            for (x, target), y in zip(block, outputs, strict=True):
                for part in zip(*(values.split(MAX_STEPS) for values in (x, target, y)), strict=True):
                    train(chunk, pieces, optimizers, done, *part)
                    done += len(part[0])
        self._flat.scatter()
        return outputs

    def _train_in_kernel(
        self,
        chunk: slice,
        pieces: "list[_Piece]",
        optimizers: list[Any],
        done: int,
        x: Tensor,
        target: Tensor,
        y: Tensor,
    ) -> None:
        """Take the steps of a chunk in the kernel, which has the gradient of the loss."""
        for piece in pieces:
            at = (_from(values[0], piece.first) for values in (x, target, y))
            batches, adam = _MiniBatches(*at, *target.shape), optimizers[piece.part][done]
            loss, factors = LOSSES[type(self._objective)], self._factors(piece)
            library()[0].train(piece.layers, len(piece.layers), adam, piece.seeds, batches, loss, factors)

    def _train_by_steps(
        self,
        chunk: slice,
        pieces: "list[_Piece]",
        optimizers: list[Any],
        done: int,
        x: Tensor,
        target: Tensor,
        y: Tensor,
    ) -> None:
        """Take the steps of a chunk, with the gradient of the loss between the two halves of each."""
        kernel, depth, samples = library()[0], len(self._layers), target.shape[2]
        output_gradients = output_gradient(self._objective, chunk)
        for step in range(len(x)):
            for piece in pieces:
                piece.layers[-1].y = _from(y[step], piece.first)
                values = optimizers[piece.part][done + step].values
                kernel.forward(piece.layers, depth, values, piece.seeds, samples, _from(x[step], piece.first))
            own = y[step, chunk]
            gradient = _checked("the gradient of the loss", output_gradients(own, target[step, chunk]), own.shape)
            for piece in pieces:
                at = _from(x[step], piece.first), _from(gradient, piece.first - chunk.start), self._factors(piece)
                kernel.backward(piece.layers, depth, optimizers[piece.part][done + step], piece.seeds, samples, *at)

    def _optimizers(self, steps: int, schedule: Schedule) -> list[Any]:
        """Return the structs of the optimizer of each part for the next steps, and count these."""
        structs = []
        for index, (part, group) in enumerate(zip(self._flat.parts, self._optimizer.param_groups, strict=True)):
            settings = [group | own[index] for own in schedule] if schedule else [group] * steps
            state = adam_state(self._optimizer, part)
            structs.append(_optimizers(part, state, settings))
            state["step"] += steps
        return structs

    def _factors(self, piece: "_Piece") -> int | None:
        """Return the address of the factors of the learning rates of a piece, or None where there are none."""
        factors = self._flat.seed_factors if self._scale else None
        return None if factors is None else _from(factors, piece.first)

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
        for layer, _ in self._layers:
            _, inputs, outputs = layer.weight.shape
            stride = self._flat.storage(layer.weight)[0].stride(1)
            rows = ROWS if outputs >= SIMD_WIDTH else max(ROWS, inputs)  # all rows of a narrow layer
            copied = max(inputs * MAX_TILE, samples * (ROWS + outputs + MAX_TILE))  # columns of W; columns of x, and dz
            shapes = (seeds, samples, outputs), (samples, outputs), (rows, stride), (inputs,), (copied,)
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
        for struct, (layer, activation), buffers in zip(structs, self._layers, self._buffers, strict=True):
            weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
            _, struct.inputs, struct.outputs = layer.weight.shape
            struct.stride, struct.activation = weight.stride(1), CODES[activation]
            struct.weight_step, struct.bias_step = weight.stride(0), bias.stride(0)
            struct.weight = starts[layer.weight] + first * struct.weight_step
            struct.bias = starts[layer.bias] + first * struct.bias_step
            y, *others = buffers
            struct.y = y[offset].data_ptr()
            struct.dz, struct.gradient, struct.column, struct.copy = (buffer.data_ptr() for buffer in others)
        return structs


def _from(values: Tensor, seed: int) -> int:
    """Return the address of a seed in contiguous values, (S, ...)."""
    return values.data_ptr() + values.element_size() * seed * values.stride(0)


def _optimizers(values: Tensor, state: dict[str, Tensor], settings: Settings) -> Any:
    """Return the structs of the optimizer of a buffer for steps with these settings, after those that it has taken."""
    done = int(state["step"])
    shared = values.data_ptr(), state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()
    structs = (_Adam * len(settings))()
    for index, group in enumerate(settings):
        lr, weight_decay, decoupled = group["lr"], group["weight_decay"], group["decoupled_weight_decay"]
        beta1, beta2 = group["betas"]
        structs[index] = _Adam(
            *shared,
            lr / (1 - beta1 ** (done + index + 1)),
            (1 - beta2 ** (done + index + 1)) ** -0.5,
            1 - beta1,
            1 - beta2,
            group["eps"],
            0 if decoupled else weight_decay,
            1 - lr * weight_decay if decoupled else 1,
        )
    return structs


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
        kernel.backward.argtypes = [layers, number, adam, number, number, pointer, pointer, pointer]
        kernel.train.argtypes = [layers, number, adam, number, batches, number, pointer]
        kernel.forward.restype = kernel.backward.restype = kernel.train.restype = None
    return kernel, reason
