"""Engines: how a mini-batch changes the parameters, by autograd, layer by layer, or in a kernel of its own.

Autograd serves any network. For a stack of affine layers the forward and backward written out here cost less than
half: products go straight into the buffer, and nothing is recorded. ``src.native`` halves that once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from src import native
from src.checks import Problem, check
from src.losses.objective import Objective
from src.models.activations import Activation
from src.models.flat import FlatParameters
from src.models.linear import StackedLinear, aligned, alignment
from src.steps import stepper

ENGINES = ("auto", "native", "torch")


class Engine(Protocol):
    """Trains a stack of networks.

    Attributes:
        name: The setting ``engine`` that insists on it.
    """

    name: str

    def train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        ...


def choose_engine(
    network: nn.Module,
    objective: Objective,
    flat: FlatParameters,
    optimizer: Optimizer,
    *,
    wanted: str = "auto",
    mixed: bool = False,
) -> Engine:
    """Return the fastest engine for a network, an objective and an optimizer.

    Args:
        network: The network; one with an attribute ``layers`` is a stack of affine layers and activations.
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
        wanted: ``native`` to insist on the native kernel, ``torch`` to do without it, ``auto`` to use it where it can
            be used.
        mixed: Whether the trainer casts single operations to a lower precision, which only autograd knows how to do.

    Raises:
        SettingsError: If the native kernel is insisted on and cannot be used.
    """
    layers = None if mixed else getattr(network, "layers", None)
    if layers is None:
        check(_insisted(wanted, "has only affine layers and activations, all in one precision"))
        return AutogradEngine(network, objective, flat, optimizer)
    obstacle = "is not wanted" if wanted == "torch" else native.obstacle(layers, flat.values, optimizer)
    if obstacle is None:
        return native.NativeEngine(layers, output_gradient(objective), flat, optimizer)
    check(_insisted(wanted, obstacle))
    return LayerwiseEngine(layers, objective, flat, optimizer)


def _insisted(wanted: str, obstacle: str) -> Problem | None:
    return Problem("engine", f"auto or torch, as the native kernel {obstacle}", wanted) if wanted == "native" else None


class _TorchEngine(ABC):
    """Takes steps of any optimizer of torch, down a gradient that is in the buffer by then."""

    name = "torch"

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        step = stepper(self._optimizer)
        outputs = []
        for x, target in batches:
            outputs.append(self.backward(x, target))
            step()
        return outputs

    @abstractmethod
    def backward(self, x: Tensor, target: Tensor) -> Tensor:
        """Fill the buffer's gradient from a mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O)."""


class AutogradEngine(_TorchEngine):
    """Back-propagates the sum of the seeds' losses through any network.

    Args:
        network: The network (S, B, D) -> (S, B, O).
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
    """

    def __init__(self, network: nn.Module, objective: Objective, flat: FlatParameters, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self._network = network
        self._objective = objective
        self._flat = flat

    @torch.enable_grad()
    def backward(self, x: Tensor, target: Tensor) -> Tensor:
        """Fill the buffer's gradient from a mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O)."""
        outputs = self._network(x)
        self._flat.backward(self._objective.loss(outputs, target).sum())
        return outputs.detach()


class LayerwiseEngine(_TorchEngine):
    """Runs affine layers forward and backward, every product of all seeds at once.

    Args:
        layers: The affine layers in order, each with what is applied to its output.
        objective: Loss and decision rule; its own ``gradient`` with respect to the outputs is used if it has one.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
    """

    def __init__(
        self,
        layers: list[tuple[StackedLinear, Activation]],
        objective: Objective,
        flat: FlatParameters,
        optimizer: Optimizer,
    ) -> None:
        super().__init__(optimizer)
        self._rows = alignment([layer for layer, _ in layers])
        self._layers = [_Layer(layer, activation, flat) for layer, activation in layers]
        self._gradient = output_gradient(objective)

    @torch.no_grad()
    def backward(self, x: Tensor, target: Tensor) -> Tensor:
        """Fill the buffer's gradient from a mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O)."""
        y = aligned(x, self._rows)  # (S, B + padding, D)
        rows = y.shape[1] - x.shape[1]
        for layer in self._layers:
            y = layer.forward(y)
        outputs = y[:, : x.shape[1]]
        dz = self._layers[-1].backward(F.pad(self._gradient(outputs, target), (0, 0, 0, rows)))
        for layer, following in zip(self._layers[-2::-1], self._layers[:0:-1], strict=True):
            dz = layer.backward(following.backward_input(dz))
        return outputs


class _Layer:
    """An affine layer and its activation, y = f(x W + b), with its gradients in the flat buffer."""

    def __init__(self, layer: StackedLinear, activation: Activation, flat: FlatParameters) -> None:
        self.weight, self.weight_gradient = flat.storage(layer.weight)  # (S, in, out), padded
        self.bias, self.bias_gradient = flat.storage(layer.bias)  # (S, 1, out), padded
        self.inputs, self.outputs = layer.weight.shape[1:]
        self.rows, self.columns = layer.padding
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        self.x = F.pad(x, (0, self.rows)) if self.rows else x  # (S, B, in)
        z = torch.baddbmm(self.bias, self.x, self.weight)  # (S, B, in), (S, in, out) -> (S, B, out)
        self.y = self.activation.value(z[..., : self.outputs] if self.columns else z)
        return self.y

    def backward(self, dy: Tensor) -> Tensor:
        dz = self.activation.gradient(dy, self.y)  # (S, B, out)
        dz = F.pad(dz, (0, self.columns)) if self.columns else dz
        torch.bmm(self.x.mT, dz, out=self.weight_gradient)  # (S, in, B), (S, B, out) -> (S, in, out)
        torch.sum(dz, 1, keepdim=True, out=self.bias_gradient)  # (S, B, out) -> (S, 1, out)
        return dz

    def backward_input(self, dz: Tensor) -> Tensor:
        dx = torch.bmm(dz, self.weight.mT)  # (S, B, out), (S, out, in) -> (S, B, in)
        return dx[..., : self.inputs] if self.rows else dx


def output_gradient(objective: Objective) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the summed loss with respect to the outputs: (S, B, O), (S, B) -> (S, B, O).

    It is the objective's own closed form, its method ``gradient``, or else autograd through its loss alone.
    """

    @torch.enable_grad()
    def by_autograd(outputs: Tensor, target: Tensor) -> Tensor:
        outputs = outputs.detach().requires_grad_()
        return torch.autograd.grad(objective.loss(outputs, target).sum(), outputs)[0]

    return getattr(objective, "gradient", by_autograd)
