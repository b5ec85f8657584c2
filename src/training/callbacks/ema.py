"""The exponential moving average of the weights of each seed."""

from typing import Any, cast

import lightning as L
from torch import Tensor

from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier
from src.utils.validation import check, number


class ExponentialMovingAverage(SeedCallback):
    """Gives each seed an average of its weights when the training has ended, as ``torch.optim.swa_utils`` computes it.

    The average is updated after every step of the optimizer: it begins as the weights after the first one, and moves
    towards the weights by a share of 1 - decay from then on. Buffers of a network, such as the moments of BatchNorm,
    are those of the last step.

    Args:
        decay: Weight of the average itself, in (0, 1).

    Raises:
        SettingsError: If it is out of its range.
    """

    def __init__(self, decay: float) -> None:
        check(number("decay", decay, above=0, below=1))
        self.decay = decay
        self.average: Tensor | None = None  # (P,), as the buffer of the weights
        self.restored: Tensor | None = None  # the same with one row per seed, from a checkpoint

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for a call after each step, before the engine is selected."""
        self.classifier = cast(StackedClassifier, pl_module)
        self.classifier.after_step = self.update

    def update(self) -> None:
        """Move the average towards the weights."""
        flat = self.classifier.flat
        if self.restored is not None:
            self.average, self.restored = flat.from_rows(self.restored), None
        if self.average is None:
            self.average = flat.values.detach().clone()
        else:
            self.average.lerp_(flat.values.detach(), 1 - self.decay)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give each seed its average."""
        if self.average is not None:
            self.classifier.flat.values.data.copy_(self.average)

    def state_dict(self) -> dict[str, Any]:
        """Return the average, (S, P / S), of a training that has begun."""
        return {} if self.average is None else {"average": self.classifier.flat.rows(self.average)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the average of a checkpoint."""
        self.restored = state_dict.get("average")
