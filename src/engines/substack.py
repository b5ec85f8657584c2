"""Some networks of a stack, which are trained without the others."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.engines.base import Block, Engine, Schedule, change_settings, settings_of
from src.engines.flat_parameters import FlatParameters
from src.engines.fused_adam import adam_state, is_fused_adam
from src.losses.base import Objective


@dataclass(frozen=True)
class Stack:
    """Networks with all that a step changes.

    Attributes:
        network: The networks; all parameters and buffers lead with S.
        flat: Their parameters.
        optimizer: The optimizer of ``flat.values``.
    """

    network: Any
    flat: FlatParameters
    optimizer: Optimizer


class Substack:
    """The networks of some seeds of a stack, which take steps as a stack of their own.

    The whole stack stays what callbacks and checkpoints see and may change: before each block of mini-batches the
    weights, the state of the optimizer, its settings, the buffers and the random states of these seeds are copied from
    it, and back afterwards.

    Args:
        whole: The whole stack.
        objective: Its objective.
        seeds: The indices of the seeds in the stack, (A,).
        make_optimizer: Makes an optimizer like that of the whole stack from parameters.
        make_engine: Makes an engine from a stack and an objective.

    Attributes:
        objective: The objective of these seeds.
        seeds: Their indices, (A,).
    """

    def __init__(
        self,
        whole: Stack,
        objective: Objective,
        seeds: Tensor,
        make_optimizer: Callable[[list[nn.Parameter]], Optimizer],
        make_engine: Callable[[Stack, Objective], Engine],
    ) -> None:
        self.seeds = seeds
        of_seeds = getattr(objective, "of_seeds", None)
        self.objective: Objective = objective if of_seeds is None else of_seeds(seeds)
        network = _of_seeds(whole.network, seeds)
        flat = FlatParameters(network)
        self._whole = whole
        self._own = Stack(network, flat, make_optimizer([flat.values]))
        if is_fused_adam(self._own.optimizer):
            adam_state(self._own.optimizer, flat.values)
        self._engine = make_engine(self._own, self.objective)

    def set_factors(self, factors: Tensor) -> None:
        """Set what the learning rate of each seed of the whole stack is multiplied by, (S,)."""
        self._own.flat.set_factors(factors[self.seeds])

    def train(self, block: Block, schedule: Schedule = ()) -> list[Tensor]:
        """Take a step on each mini-batch of the A seeds, and return the outputs before each, see ``Engine.train``."""
        own = torch.arange(len(self.seeds))
        change_settings(self._own.optimizer, settings_of(self._whole.optimizer))
        _copy(self._whole, self.seeds, self._own, own)
        outputs = self._engine.train(block, schedule)
        _copy(self._own, own, self._whole, self.seeds)
        return outputs

    def spread(self, values: Tensor) -> Tensor:
        """Return values of these seeds, (..., A), among those of all, (..., S), which are NaN for the others."""
        seeds = len(next(self._whole.network.parameters()))
        values = values if values.is_floating_point() else values.double()
        spread = values.new_full((*values.shape[:-1], seeds), torch.nan)
        spread[..., self.seeds] = values
        return spread


def _of_seeds(network: nn.Module, seeds: Tensor) -> Any:
    """Return a copy of a stacked network that has only some of its seeds."""
    part: Any = copy.deepcopy(network)
    for parameter in part.parameters():
        parameter.data = parameter.data[seeds]
    for module in part.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer[seeds])
    if hasattr(part, "random_states"):
        part.random_states = [part.random_states[seed] for seed in seeds.tolist()]
    return part


@torch.no_grad()
def _copy(source: Stack, of: Tensor, target: Stack, to: Tensor) -> None:
    """Copy what a step changes from seeds of a stack, given by their indices (A,), to those of another."""
    target.flat.put_rows(target.flat.values.data, source.flat.rows(source.flat.values.data, of), to)
    by_seed, shared = source.flat.split_state(source.optimizer.state[source.flat.values], of)
    state = target.optimizer.state[target.flat.values]
    for name, rows in by_seed.items():
        if name not in state:
            state[name] = torch.zeros_like(target.flat.values.data)
        target.flat.put_rows(state[name], rows, to)
    state.update(copy.deepcopy(shared))
    for buffer, other in zip(source.network.buffers(), target.network.buffers(), strict=True):
        other[to] = buffer[of]
    if drawn := getattr(source.network, "random_states", []):
        for index, place in zip(of.tolist(), to.tolist(), strict=True):
            target.network.random_states[place] = drawn[index]
