"""The native engine: training steps of a stack of perceptrons in C, see kernel.c beside this file.

The kernel trains one network after the other, so no seed's results depend on the others, and each network stays in the
processor's cache, which is not so when every operation runs over the whole stack.
"""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.base import Engine, Schedule, change_settings, output_gradient
from src.engines.flat_parameters import SIMD_WIDTH, FlatParameters
from src.engines.fused_adam import adam_state, is_fused_adam
from src.engines.native.compile import load_kernel
from src.losses.base import Objective
from src.models.activations import ACTIVATIONS, IDENTITY, Activation
from src.models.layers import StackedLinear

CODES = {IDENTITY: 0, ACTIVATIONS["relu"]: 1, ACTIVATIONS["sigmoid"]: 2, ACTIVATIONS["tanh"]: 3}  # as in kernel.c
ROWS = 8  # as in kernel.c
MAX_TILE = 96  # columns of the widest tile of kernel.c
MAX_CHUNK_BYTES = 2**22  # of networks that train together, to stay in a cache that processes share
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


@dataclass(frozen=True)
class _Piece:
    """Consecutive networks of one part, which the kernel trains by one call."""

    part: int  # index of the part, whose buffer they are in
    first: int  # index of the first of them in the stack
    offset: int  # index of the first of them in the chunk that trains together
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
    def train(self, batches: Iterable[tuple[Tensor, Tensor]], schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        kernel, _ = library()
        depth, first, last = len(self._layers), self._layers[0][0].weight, self._layers[-1][0].weight
        batches = [(_checked("x", x, (*target.shape, first.shape[1])), target) for x, target in batches]
        self._flat.gather()
        states = [adam_state(self._optimizer, part) for part in self._flat.parts]
        adams = self._adams(states)
        self._allocate(max(target.shape[1] for _, target in batches))
        outputs = [first.new_empty(*target.shape, last.shape[2]) for _, target in batches]
        done = int(states[0]["step"])
        factors = self._flat.seed_factors if self._scale else None
        for chunk, pieces in self._pieces:
            output_gradients = output_gradient(self._objective, chunk)
            for index, ((x, target), y) in enumerate(zip(batches, outputs, strict=True)):
                if schedule:
                    change_settings(self._optimizer, schedule[index])
                    adams = self._adams(states)
                self._correct_bias(adams, done + index + 1)
                if len(self._pieces) > 1:
                    x, y, target = x[chunk], y[chunk], target[chunk]
                samples = target.shape[1]
                for piece in pieces:
                    piece.layers[-1].y = _from(y, piece)
                    values = adams[piece.part].values
                    kernel.forward(piece.layers, depth, values, piece.seeds, samples, _from(x, piece))
                gradient = _checked("the gradient of the loss", output_gradients(y, target), y.shape)
                for piece in pieces:
                    adam, at = adams[piece.part], (_from(x, piece), _from(gradient, piece))
                    own = None if factors is None else factors[piece.first :].data_ptr()
                    kernel.backward(piece.layers, depth, adam, piece.seeds, samples, *at, own)
        for state in states:
            state["step"].fill_(done + len(batches))
        self._flat.scatter()
        return outputs

    def _chunks(self) -> list[slice]:
        """Return the seeds that train together through all mini-batches: as many as stay in the cache."""
        seeds = len(self._layers[0][0].weight)
        size = max(1, MAX_CHUNK_BYTES * seeds // (3 * self._flat.values.nbytes))  # values and two moments
        return [slice(start, min(start + size, seeds)) for start in range(0, seeds, size)]

    def _adams(self, states: list[dict[str, Tensor]]) -> list[_Adam]:
        """Return the optimizer of each part."""
        parts = zip(self._flat.parts, states, self._optimizer.param_groups, strict=True)
        return [_adam(part, state, group) for part, state, group in parts]

    def _correct_bias(self, adams: list[_Adam], step: int) -> None:
        """Set the factors that change from step to step."""
        for adam, group in zip(adams, self._optimizer.param_groups, strict=True):
            beta1, beta2 = group["betas"]
            adam.step_size = group["lr"] / (1 - beta1**step)
            adam.inv_bias_correction2_sqrt = (1 - beta2**step) ** -0.5

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
                pieces.append(_Piece(part, first, first - chunk.start, last - first, layers))
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


def _from(values: Tensor, piece: _Piece) -> int:
    """Return the address of the first network of a piece in contiguous values of a chunk, (S, ...), in float32."""
    return values.data_ptr() + 4 * piece.offset * values.stride(0)


def _adam(values: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> _Adam:
    """Return the optimizer of a buffer, without the factors that change from step to step."""
    decoupled, weight_decay = group["decoupled_weight_decay"], group["weight_decay"]
    return _Adam(
        values=values.data_ptr(),
        exp_avg=state["exp_avg"].data_ptr(),
        exp_avg_sq=state["exp_avg_sq"].data_ptr(),
        one_minus_beta1=1 - group["betas"][0],
        one_minus_beta2=1 - group["betas"][1],
        eps=group["eps"],
        weight_decay=0 if decoupled else weight_decay,
        weight_scale=1 - group["lr"] * weight_decay if decoupled else 1,
    )


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
        layers, adam = ctypes.POINTER(_Layer), ctypes.POINTER(_Adam)
        kernel.forward.argtypes = [layers, number, pointer, number, number, pointer]
        kernel.backward.argtypes = [layers, number, adam, number, number, pointer, pointer, pointer]
        kernel.forward.restype = kernel.backward.restype = None
    return kernel, reason
