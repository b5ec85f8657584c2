"""The base class of engines, and the gradient that they share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.fused_adam import stepper
from src.losses.base import Objective

Schedule = Sequence[dict[str, Any]]  # of each step, the settings of the optimizer's group, such as lr


class Engine(ABC):
    """Trains a stack of networks.

    Attributes:
        name: What ``results.json`` records as the engine of a run.
    """

    name: ClassVar[str]

    @abstractmethod
    def train(self, batches: Iterable[tuple[Tensor, Tensor]], schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, and return the outputs (S, B, O) before each step.

        Args:
            batches: The mini-batches, (S, B, D) and (S, B).
            schedule: For each mini-batch the settings that the optimizer's group has at its step; empty to keep them.
        """


def take_steps(
    backward: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    schedule: Schedule = (),
) -> list[Tensor]:
    """Take a step of an optimizer on each mini-batch, (S, B, D) and (S, B).

    Args:
        backward: Fills the gradient of the optimizer's parameter from a mini-batch and returns the outputs (S, B, O).
        optimizer: An optimizer of one parameter.
        batches: The mini-batches.
        schedule: For each mini-batch the settings that the optimizer's group has at its step; empty to keep them.

    Returns:
        The outputs before each step.
    """
    step = stepper(optimizer)
    outputs = []
    for index, (x, target) in enumerate(batches):
        if schedule:
            optimizer.param_groups[0].update(schedule[index])
        outputs.append(backward(x, target))
        step()
    return outputs


def output_gradient(objective: Objective) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the summed loss with respect to the outputs: (S, B, O), (S, B) -> (S, B, O).

    It is the objective's method ``gradient``, a closed form, or otherwise autograd through its loss.
    """

    @torch.enable_grad()
    def by_autograd(outputs: Tensor, target: Tensor) -> Tensor:
        outputs = outputs.detach().requires_grad_()
        return torch.autograd.grad(objective.loss(outputs, target).sum(), outputs)[0]

    return getattr(objective, "gradient", by_autograd)
