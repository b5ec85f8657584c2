"""The weights of one seed at some epochs, from which its decision regions are drawn after the training."""

from typing import cast

import lightning as L
import numpy as np
from torch import Tensor

from src.metrics.predictions import seed_state
from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier

MAX_SNAPSHOTS = 50


class WeightSnapshots(SeedCallback):
    """Copies the weights of one seed before the training and after some epochs, and changes nothing.

    The epochs are evenly spaced on a logarithmic scale, as most of a boundary forms in the first of them. A training
    that continues from a checkpoint has only those from there on.

    Args:
        index: Index of the seed in the stack, in [0, S).
        max_epochs: Epochs of the training, at least 1.

    Attributes:
        states: The state of the network by the number of finished epochs, each tensor leading with S = 1.
    """

    def __init__(self, index: int, max_epochs: int) -> None:
        self.index = index
        self.epochs = {round(epoch) for epoch in np.geomspace(1, max_epochs, MAX_SNAPSHOTS - 1)}
        self.states: dict[int, dict[str, Tensor]] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy the weights before the first epoch."""
        self._copy(trainer.current_epoch, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy the weights after some of the epochs."""
        if trainer.current_epoch + 1 in self.epochs:
            self._copy(trainer.current_epoch + 1, pl_module)

    def _copy(self, finished: int, pl_module: L.LightningModule) -> None:
        state = seed_state(cast(StackedClassifier, pl_module).network, self.index)
        self.states[finished] = {name: value.clone() for name, value in state.items()}
