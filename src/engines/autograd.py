"""The autograd engine, for any network."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.engines.base import NO_RULES, Block, Engine, Schedule, StepRules, take_steps
from src.engines.flat_parameters import FlatParameters
from src.losses.base import Objective


class AutogradEngine(Engine):
    """Back-propagates the sum of the seeds' losses through any network.

    Args:
        network: The network (S, B, D) -> (S, B, O).
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
        rules: What happens before and after a step.
    """

    name = "autograd"

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        flat: FlatParameters,
        optimizer: Optimizer,
        rules: StepRules = NO_RULES,
    ) -> None:
        self._rules = rules
        self._optimizer = optimizer
        self._network = network
        self._objective = objective
        self._flat = flat

    def train(self, block: Block, schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch, and return the outputs before each step, see ``Engine.train``."""
        return take_steps(self._backward, self._optimizer, self._flat, block, schedule, self._rules)

    @torch.enable_grad()
    def _backward(self, x: Tensor, target: Tensor) -> Tensor:
        """Fill the buffer's gradient from a mini-batch, (S, B, D) and (S, B), and return the outputs (S, B, O)."""
        outputs = self._network(x)
        self._flat.backward(self._objective.loss(outputs, target).sum())
        return outputs.detach()
