"""The contract of an engine, and what the engines that run on torch share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.fused_adam import stepper
from src.losses.base import Objective


class Engine(Protocol):
    """Trains a stack of networks.

    Attributes:
        name: The setting ``engine`` that insists on it.
    """

    name: str

    def train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Take a step on each mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O) before each step."""
        ...


class TorchEngine(ABC):
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


def output_gradient(objective: Objective) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the summed loss with respect to the outputs: (S, B, O), (S, B) -> (S, B, O).

    It is the objective's own closed form, its method ``gradient``, or else autograd through its loss alone.
    """

    @torch.enable_grad()
    def by_autograd(outputs: Tensor, target: Tensor) -> Tensor:
        outputs = outputs.detach().requires_grad_()
        return torch.autograd.grad(objective.loss(outputs, target).sum(), outputs)[0]

    return getattr(objective, "gradient", by_autograd)
