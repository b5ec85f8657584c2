"""The native engine: a step of a stack of perceptrons in C, see native.c beside this file.

The kernel is compiled when it is first needed, with the C compiler of the machine and for its processor, and kept in
the user's cache. It goes through the networks one by one, so that nothing is computed for a seed that depends on the
others, and keeps each in the cache of the processor, which operations on whole stacks cannot.
"""

import ctypes
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from src.engines.flat_parameters import LANES, FlatParameters
from src.engines.fused_adam import adam_state, is_fused_adam
from src.engines.native.compile import compile_kernel
from src.models.activations import ACTIVATIONS, IDENTITY, Activation
from src.models.linear import StackedLinear

CODES = {IDENTITY: 0, ACTIVATIONS["relu"]: 1, ACTIVATIONS["sigmoid"]: 2, ACTIVATIONS["tanh"]: 3}  # as in native.c
ROWS = 8  # as in native.c
CACHE = 2**22  # bytes that the networks in work may take, to stay in a cache that processes share
Layers = list[tuple[StackedLinear, Activation]]


class _Layer(ctypes.Structure):
    """The struct ``layer`` of native.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("inputs", "outputs", "stride", "activation")),
        *((name, ctypes.c_long) for name in ("weight", "weight_step", "bias", "bias_step")),
        *((name, ctypes.c_void_p) for name in ("y", "dz", "gradient", "column")),
    )


class _Adam(ctypes.Structure):
    """The struct ``optimizer`` of native.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "exp_avg", "exp_avg_sq")),
        *((name, ctypes.c_float) for name in ("rate", "correction", "news1", "news2", "eps", "l2", "decay")),
    )


class NativeEngine:
    """Trains affine layers with Adam in the kernel; only the gradient of the loss is torch's.

    Args:
        layers: The affine layers in order, each with what is applied to its output.
        gradient: The gradient of the summed loss with respect to the outputs: (S, B, O), (S, B) -> (S, B, O).
        flat: The network's parameters.
        optimizer: A fused Adam or AdamW of ``flat.values``.
    """

    name = "native"

    def __init__(
        self, layers: Layers, gradient: Callable[[Tensor, Tensor], Tensor], flat: FlatParameters, optimizer: Optimizer
    ) -> None:
        self._layers = layers
        self._gradient = gradient
        self._flat = flat
        self._optimizer = optimizer
        self._points = 0  # that there is memory for

    @torch.no_grad()
    def train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        kernel = library()
        first, last = self._layers[0][0].weight, self._layers[-1][0].weight
        batches = [(_floats("points", x, (*target.shape, first.shape[1])), target) for x, target in batches]
        state = adam_state(self._optimizer)
        adam = self._adam(state)
        layers = self._describe(max(target.shape[1] for _, target in batches))
        outputs = [first.new_empty(*target.shape, last.shape[2]) for _, target in batches]
        done = int(state["step"])
        for chunk in self._chunks():
            self._move(layers, chunk)
            for step, ((x, target), y) in enumerate(zip(batches, outputs, strict=True), done + 1):
                self._schedule(adam, step)
                x, y, target = x[chunk], y[chunk], target[chunk]
                layers[-1].y = y.data_ptr()
                kernel.forward(layers, len(layers), adam.values, *target.shape, x.data_ptr())
                slope = _floats("the gradient of the loss", self._gradient(y, target), y.shape)
                kernel.backward(layers, len(layers), adam, *target.shape, x.data_ptr(), slope.data_ptr())
        state["step"].fill_(done + len(batches))
        return outputs

    def _chunks(self) -> list[slice]:
        """Return the seeds that train together through all mini-batches: as many as stay in the cache."""
        seeds = len(self._layers[0][0].weight)
        size = max(1, CACHE * seeds // (3 * self._flat.values.nbytes))  # values and two moments
        return [slice(start, start + size) for start in range(0, seeds, size)]

    def _adam(self, state: dict[str, Tensor]) -> _Adam:
        (group,) = self._optimizer.param_groups
        decoupled, weight_decay = isinstance(self._optimizer, AdamW), group["weight_decay"]
        return _Adam(
            values=self._flat.values.data_ptr(),
            exp_avg=state["exp_avg"].data_ptr(),
            exp_avg_sq=state["exp_avg_sq"].data_ptr(),
            news1=1 - group["betas"][0],
            news2=1 - group["betas"][1],
            eps=group["eps"],
            l2=0 if decoupled else weight_decay,
            decay=1 - group["lr"] * weight_decay if decoupled else 1,
        )

    def _schedule(self, adam: _Adam, step: int) -> None:
        """Set what changes from step to step."""
        (group,) = self._optimizer.param_groups
        beta1, beta2 = group["betas"]
        adam.rate = group["lr"] / (1 - beta1**step)
        adam.correction = (1 - beta2**step) ** -0.5

    def _describe(self, points: int) -> Any:
        """Return the structs of the layers, which point to memory for a chunk of seeds and at least so many points."""
        if points > self._points:
            self._points = points
            self._structs = (_Layer * len(self._layers))()
            self._scratch = []
            largest = self._chunks()[0]
            for struct, (layer, activation) in zip(self._structs, self._layers, strict=True):
                weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
                seeds, inputs, outputs = layer.weight[largest].shape
                rows = ROWS if outputs >= LANES else max(ROWS, inputs)  # all of a narrow layer
                shapes = (seeds, points, outputs), (points, outputs), (rows, weight.stride(1)), (inputs,)
                self._scratch += (own := [weight.new_zeros(shape) for shape in shapes])
                struct.inputs, struct.outputs, struct.stride = inputs, outputs, weight.stride(1)
                struct.activation = CODES[activation]
                struct.weight_step, struct.bias_step = weight.stride(0), bias.stride(0)
                struct.y, struct.dz, struct.gradient, struct.column = (tensor.data_ptr() for tensor in own)
        return self._structs

    def _move(self, structs: Any, chunk: slice) -> None:
        """Let the structs of the layers stand for some seeds."""
        for struct, (layer, _) in zip(structs, self._layers, strict=True):
            weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
            struct.weight = weight.storage_offset() + chunk.start * struct.weight_step
            struct.bias = bias.storage_offset() + chunk.start * struct.bias_step


def _floats(name: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return values as the kernel reads them, without looking where it goes: single precision, contiguous."""
    if values.shape != shape or values.dtype != torch.float32:
        expected, found = tuple(shape), tuple(values.shape)
        raise ValueError(f"{name}: expected float32 of shape {expected}, got {values.dtype} of shape {found}")
    return values.contiguous()


def obstacle(layers: Layers, values: Tensor, optimizer: Optimizer) -> str | None:
    """Say what of a training the kernel cannot do, or None.

    Args:
        layers: The affine layers of the network in order, each with what is applied to its output.
        values: The buffer of its parameters.
        optimizer: The optimizer of the buffer.
    """
    if any(activation not in CODES for _, activation in layers):
        return "lacks an activation of this network"
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return "computes on the CPU and in single precision"
    if not is_fused_adam(optimizer) or optimizer.param_groups[0]["maximize"]:
        return "has only the optimizers adam and adamw, with fused=true"
    return None if library() else "needs a C compiler, cc, and a folder ~/.cache to write to"


@cache
def library() -> Any:
    """Return the compiled kernel with its signatures, or None if it cannot be had."""
    kernel = compile_kernel()
    if kernel is None:
        return None
    number, pointer = ctypes.c_long, ctypes.c_void_p
    layers, adam = ctypes.POINTER(_Layer), ctypes.POINTER(_Adam)
    kernel.forward.argtypes = [layers, number, pointer, number, number, pointer]
    kernel.backward.argtypes = [layers, number, adam, number, number, pointer, pointer]
    kernel.forward.restype = kernel.backward.restype = None
    return kernel
