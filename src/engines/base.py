"""The base class of engines, and the gradient that they share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.engines.flat_parameters import FlatParameters
from src.engines.fused_adam import stepper
from src.losses.base import Objective

Settings = Sequence[dict[str, Any]]  # of each group of an optimizer, such as lr
Schedule = Sequence[Settings]  # of each step
# Of mini-batches of one size x (steps, S, B, D) and target (steps, S, B), then those of the others.
Block = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StepRules:
    """What happens before and after a step.

    Attributes:
        clip_norm: The norm to which the gradient of each seed is scaled down; None for none.
        clip_value: The largest absolute value of its elements; None for none.
        accumulate: Mini-batches whose gradients are averaged for one step; the last step of a block may have fewer,
            and divides by the same number, as Lightning does.
        after_step: Called after each step; None for nothing.
        scale: Whether the change of the weights by a step is scaled by ``FlatParameters.seed_factors``.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    after_step: Callable[[], None] | None = None
    scale: bool = False


NO_RULES = StepRules()


class Engine(ABC):
    """Trains a stack of networks.

    Attributes:
        name: What ``results.json`` records as the engine of a run.
    """

    name: ClassVar[str]

    @abstractmethod
    def train(self, block: Block, schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch.

        Args:
            block: The mini-batches: those of a size, (steps, S, B, D) and (steps, S, B), and those that follow.
            schedule: For each step the settings that the optimizer's groups have; empty to keep them.

        Returns:
            Of the mini-batches of each size the outputs before each step, (steps, S, B, O).
        """


def settings_of(optimizer: Optimizer) -> Settings:
    """Return the settings of each group of an optimizer."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def change_settings(optimizer: Optimizer, settings: Settings) -> None:
    """Change the settings of each group of an optimizer."""
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def take_steps(
    backward: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    flat: FlatParameters,
    block: Block,
    schedule: Schedule = (),
    rules: StepRules = NO_RULES,
) -> list[Tensor]:
    """Take a step of an optimizer on each mini-batch, or on each few of them.

    Args:
        backward: Fills the gradient of ``flat.values`` from a mini-batch and returns the outputs (S, B, O).
        optimizer: The optimizer of ``flat.parts``.
        flat: The network's parameters.
        block: The mini-batches, as of ``Engine.train``.
        schedule: For each step the settings that the optimizer's groups have; empty to keep them.
        rules: What happens before and after a step.

    Returns:
        Of the mini-batches of each size the outputs before each step, (steps, S, B, O).
    """
    step = flat.by_parts(stepper(optimizer))
    flat.gather()
    outputs = []
    batches = [batch for x, target in block for batch in zip(x, target, strict=True)]
    for index, (x, target) in enumerate(batches):
        outputs.append(backward(x, target))
        if rules.accumulate > 1:
            flat.accumulate(rules.accumulate, first=index % rules.accumulate == 0)
            if (index + 1) % rules.accumulate and index + 1 < len(batches):
                continue
            flat.use_accumulated()
        if rules.clip_norm is not None:
            flat.clip_norm(rules.clip_norm)
        if rules.clip_value is not None:
            flat.clip_value(rules.clip_value)
        if schedule:
            change_settings(optimizer, schedule[index // rules.accumulate])
        if rules.scale:
            flat.scaled_step(step)
        else:
            step()
        if rules.after_step is not None:
            rules.after_step()
    taken = iter(outputs)
    return [torch.stack(list(islice(taken, len(target)))) for _, target in block]


def output_gradient(objective: Objective, seeds: slice | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the summed loss with respect to the outputs: (S, B, O), (S, B) -> (S, B, O).

    It is the objective's method ``gradient``, a closed form, or otherwise autograd through its loss.

    Args:
        objective: The objective; one that differs by seed has a method ``of_seeds``.
        seeds: The seeds of the stack that the outputs are of; None for all.
    """
    if seeds is not None and hasattr(objective, "of_seeds"):
        objective = objective.of_seeds(seeds)

    @torch.enable_grad()
    def by_autograd(outputs: Tensor, target: Tensor) -> Tensor:
        outputs = outputs.detach().requires_grad_()
        return torch.autograd.grad(objective.loss(outputs, target).sum(), outputs)[0]

    return getattr(objective, "gradient", by_autograd)
