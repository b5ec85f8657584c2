"""The backend ``lightning``: a LightningModule as the tutorials write it, with a DataLoader of mini-batches."""

import logging
import warnings
from itertools import accumulate

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.benchmark.backends.one_network import layers_of, loader_of, network_of
from scripts.benchmark.backends.work import Layers, Pause, Work
from src.training.callbacks.base import SeedCallback


class Plain(L.LightningModule):
    """One network, cross-entropy and Adam."""

    def __init__(self, network: nn.Module, lr: float) -> None:
        super().__init__()
        self.network = network
        self.lr = lr

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Return the loss of a mini-batch."""
        x, target = batch
        return F.cross_entropy(self.network(x), target)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class PauseBetweenSegments(SeedCallback):
    """Calls ``pause`` at the end of each segment of epochs; for losslab, a callback that reads nothing it logs."""

    def __init__(self, work: Work, pause: Pause) -> None:
        self.ends = set(accumulate(work.segments))
        self.pause = pause

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Pause after the last epoch of a segment."""
        if trainer.current_epoch + 1 in self.ends:
            self.pause()


def train(work: Work, pause: Pause) -> Layers:
    """Train the first network."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    network = network_of(work, 0)
    trainer = L.Trainer(
        max_epochs=sum(work.segments),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[PauseBetweenSegments(work, pause)],
    )
    trainer.fit(Plain(network, work.lr), loader_of(work, 0))
    return layers_of(network)
