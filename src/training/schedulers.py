"""Learning-rate schedulers beside those of torch."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

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
