"""Learning-rate schedulers beside those of torch."""

import math

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from src.utils.validation import check, number, whole


class WarmupCosine(LambdaLR):
    """A linear rise to the optimizer's rate, then half a cosine to zero.

    Args:
        optimizer: The optimizer.
        total_steps: Steps until the rate is zero, at least 1.
        warmup: Share of them that the rise takes, in [0, 1).

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.ones(1)], lr=0.8)
        >>> scheduler = WarmupCosine(optimizer, total_steps=4, warmup=0.5)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> [round(rate, 3) for rate in rates]
        [0.4, 0.8, 0.8, 0.4]
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int, warmup: float) -> None:
        check(
            whole("total_steps", total_steps, min_value=1, max_value=2**62),
            number("warmup", warmup, min_value=0, below=1),
        )
        rise = round(warmup * total_steps)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return (1 + math.cos(math.pi * min(1.0, (step - rise) / (total_steps - rise)))) / 2

        super().__init__(optimizer, factor)


class SeedPlateau(LRScheduler):
    """Lowers the rate of each seed whose loss no longer falls, by the rule of ``ReduceLROnPlateau``.

    The optimizer has one rate for all seeds. So engines scale what a step changes in the weights of a seed by
    ``rates`` over this rate, which is the same for every optimizer whose step is proportional to the rate, as those of
    Adam, AdamW, SGD and RMSprop.

    Args:
        optimizer: The optimizer.
        factor: What a rate is multiplied with, in (0, 1).
        patience: Epochs without a better loss that are waited for, at least 0; the next one lowers the rate.
        threshold: Share of the best loss by which a better one has to be below it, at least 0.
        cooldown: Epochs after a change in which none is counted, at least 0.
        min_lr: Rate below which none is lowered, at least 0.

    Attributes:
        rates: The rate of each seed, (S,); empty before the first epoch has ended.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.ones(1)], lr=0.8)
        >>> scheduler = SeedPlateau(optimizer, factor=0.5, patience=0)
        >>> scheduler.step(torch.tensor([1.0, 1.0]))
        >>> scheduler.step(torch.tensor([0.9, 1.0]))
        >>> scheduler.rates.tolist()
        [0.8, 0.4]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: float,
        patience: int,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        check(
            number("factor", factor, above=0, below=1),
            whole("patience", patience, min_value=0),
            number("threshold", threshold, min_value=0, below=1e30),
            whole("cooldown", cooldown, min_value=0),
            number("min_lr", min_lr, min_value=0, below=1e30),
        )
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.cooldown, self.min_lr = cooldown, min_lr
        self.rates = torch.empty(0, dtype=torch.float64)
        super().__init__(optimizer)
        self._last_lr = self.get_lr()

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates of the optimizer's groups, which stay as they are."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, loss: Tensor | None = None) -> None:  # type: ignore[override]  # what counts are losses, not epochs
        """Lower the rates of the seeds whose loss, (S,), has not fallen for too long."""
        if loss is None:
            return
        loss = loss.detach().double().cpu()
        if not len(self.rates):
            self.rates = torch.full_like(loss, float(self.optimizer.param_groups[0]["lr"]))
            self.best, self.waited, self.cooling = (torch.full_like(loss, first) for first in (math.inf, 0, 0))
        better = loss < self.best * (1 - self.threshold)
        self.best = torch.where(better, loss, self.best)
        cooling = self.cooling > 0
        self.waited = torch.where(better | cooling, 0, self.waited + 1)
        self.cooling = (self.cooling - 1).clamp(min=0)
        due = self.waited > self.patience
        self.waited = self.waited.masked_fill(due, 0)
        self.cooling = self.cooling.masked_fill(due, self.cooldown)
        lower = (self.rates * self.factor).clamp(min=self.min_lr)
        self.rates = torch.where(due, torch.minimum(self.rates, lower), self.rates)

    def factors(self) -> Tensor:
        """Return the rate of each seed as a share of the optimizer's, (S,)."""
        return self.rates / float(self.optimizer.param_groups[0]["lr"])
