"""The optimizer that Lightning and learning-rate schedulers see."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer


class BlockOptimizer(Optimizer):
    """An optimizer whose ``step`` takes a block of steps of another one: those that its closure takes.

    It shares the groups and the state of the other optimizer. So a scheduler of it schedules the other, Lightning
    counts and profiles one step per block, and an engine can take the steps that is faster than the other's ``step``.

    Args:
        optimizer: The optimizer whose steps the closure takes.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.optimizer = optimizer
        self.state = optimizer.state

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # without a closure there is no block
        """Return what the closure does, which takes the steps."""
        return closure()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state into both optimizers."""
        self.optimizer.load_state_dict(state_dict)
        self.state, self.param_groups = self.optimizer.state, self.optimizer.param_groups
