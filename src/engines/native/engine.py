"""The native engine: training steps of a stack of perceptrons in C, see kernel.c beside this file.

The kernel trains one network after the other, so no seed's results depend on the others, and each network stays in the
processor's cache, which is not so when every operation runs over the whole stack.
"""

import ctypes
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.base import Engine, Schedule
from src.engines.flat_parameters import SIMD_WIDTH, FlatParameters
from src.engines.fused_adam import adam_state, is_fused_adam
from src.engines.native.compile import load_kernel
from src.models.activations import ACTIVATIONS, IDENTITY, Activation
from src.models.layers import StackedLinear

CODES = {IDENTITY: 0, ACTIVATIONS["relu"]: 1, ACTIVATIONS["sigmoid"]: 2, ACTIVATIONS["tanh"]: 3}  # as in kernel.c
ROW_TILE = 8  # as in kernel.c
MAX_CHUNK_BYTES = 2**22  # of networks that train together, to stay in a cache that processes share
Layers = list[tuple[StackedLinear, Activation]]


class _Layer(ctypes.Structure):
    """The struct ``layer`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("inputs", "outputs", "stride", "activation")),
        *((name, ctypes.c_long) for name in ("weight", "weight_step", "bias", "bias_step")),
        *((name, ctypes.c_void_p) for name in ("y", "dz", "gradient", "column")),
    )


class _Adam(ctypes.Structure):
    """The struct ``optimizer`` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "exp_avg", "exp_avg_sq")),
        *((name, ctypes.c_float) for name in ("step_size", "inv_bias_correction2_sqrt")),
        *((name, ctypes.c_float) for name in ("one_minus_beta1", "one_minus_beta2")),
        *((name, ctypes.c_float) for name in ("eps", "weight_decay", "weight_scale")),
    )


class NativeEngine(Engine):
    """Trains affine layers with Adam in the kernel; torch computes the gradient of the loss only.

    Args:
        layers: The affine layers in order, each with the activation of its output.
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
        self._max_samples = 0  # of a mini-batch, in the memory that is allocated

    @torch.no_grad()
    def train(self, batches: Iterable[tuple[Tensor, Tensor]], schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        kernel, _ = library()
        first, last = self._layers[0][0].weight, self._layers[-1][0].weight
        batches = [(_checked("x", x, (*target.shape, first.shape[1])), target) for x, target in batches]
        state = adam_state(self._optimizer)
        adam = self._adam(state)
        layers = self._layer_structs(max(target.shape[1] for _, target in batches))
        outputs = [first.new_empty(*target.shape, last.shape[2]) for _, target in batches]
        done = int(state["step"])
        chunks = self._chunks()
        for chunk in chunks:
            self._point_to(layers, chunk)
            for index, ((x, target), y) in enumerate(zip(batches, outputs, strict=True)):
                if schedule:
                    self._optimizer.param_groups[0].update(schedule[index])
                    adam = self._adam(state)
                self._correct_bias(adam, done + index + 1)
                if len(chunks) > 1:
                    x, y, target = x[chunk], y[chunk], target[chunk]
                layers[-1].y = y.data_ptr()
                kernel.forward(layers, len(layers), adam.values, *target.shape, x.data_ptr())
                gradient = _checked("the gradient of the loss", self._gradient(y, target), y.shape)
                kernel.backward(layers, len(layers), adam, *target.shape, x.data_ptr(), gradient.data_ptr())
        state["step"].fill_(done + len(batches))
        return outputs

    def _chunks(self) -> list[slice]:
        """Return the seeds that train together through all mini-batches: as many as stay in the cache."""
        seeds = len(self._layers[0][0].weight)
        size = max(1, MAX_CHUNK_BYTES * seeds // (3 * self._flat.values.nbytes))  # values and two moments
        return [slice(start, start + size) for start in range(0, seeds, size)]

    def _adam(self, state: dict[str, Tensor]) -> _Adam:
        (group,) = self._optimizer.param_groups
        decoupled, weight_decay = group["decoupled_weight_decay"], group["weight_decay"]
        return _Adam(
            values=self._flat.values.data_ptr(),
            exp_avg=state["exp_avg"].data_ptr(),
            exp_avg_sq=state["exp_avg_sq"].data_ptr(),
            one_minus_beta1=1 - group["betas"][0],
            one_minus_beta2=1 - group["betas"][1],
            eps=group["eps"],
            weight_decay=0 if decoupled else weight_decay,
            weight_scale=1 - group["lr"] * weight_decay if decoupled else 1,
        )

    def _correct_bias(self, adam: _Adam, step: int) -> None:
        """Set the factors that change from step to step."""
        (group,) = self._optimizer.param_groups
        beta1, beta2 = group["betas"]
        adam.step_size = group["lr"] / (1 - beta1**step)
        adam.inv_bias_correction2_sqrt = (1 - beta2**step) ** -0.5

    def _layer_structs(self, samples: int) -> Any:
        """Return the structs of the layers, with memory for a chunk of seeds and mini-batches of this size."""
        if samples > self._max_samples:
            self._max_samples = samples
            self._structs = (_Layer * len(self._layers))()
            self._buffers = []
            largest = self._chunks()[0]
            for struct, (layer, activation) in zip(self._structs, self._layers, strict=True):
                weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
                seeds, inputs, outputs = layer.weight[largest].shape
                rows = ROW_TILE if outputs >= SIMD_WIDTH else max(ROW_TILE, inputs)  # all rows of a narrow layer
                shapes = (seeds, samples, outputs), (samples, outputs), (rows, weight.stride(1)), (inputs,)
                buffers = [weight.new_zeros(shape) for shape in shapes]
                self._buffers += buffers  # whose memory the structs point to
                struct.inputs, struct.outputs, struct.stride = inputs, outputs, weight.stride(1)
                struct.activation = CODES[activation]
                struct.weight_step, struct.bias_step = weight.stride(0), bias.stride(0)
                struct.y, struct.dz, struct.gradient, struct.column = (buffer.data_ptr() for buffer in buffers)
        return self._structs

    def _point_to(self, structs: Any, chunk: slice) -> None:
        """Set the indices of the first seed of a chunk in the structs of the layers."""
        for struct, (layer, _) in zip(structs, self._layers, strict=True):
            weight, bias = (self._flat.storage(parameter)[0] for parameter in (layer.weight, layer.bias))
            struct.weight = weight.storage_offset() + chunk.start * struct.weight_step
            struct.bias = bias.storage_offset() + chunk.start * struct.bias_step


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
        kernel.backward.argtypes = [layers, number, adam, number, number, pointer, pointer]
        kernel.forward.restype = kernel.backward.restype = None
    return kernel, reason
