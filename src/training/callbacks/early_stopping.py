"""Early stopping and the best epoch, of each seed of a stack alone."""

from typing import Any, cast

import lightning as L
import torch
from torch import Tensor

from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier
from src.utils.validation import check, choice, number, whole

MONITORS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class _SeedMonitor(SeedCallback):
    """Follows a metric of each seed, and keeps weights of some epoch of each to give them back after the training.

    A seed that has stopped is not trained on while the others are, and each seed is bit for bit what it is alone.

    Args:
        monitor: train/loss, train/accuracy, val/loss or val/accuracy.
        min_delta: What counts as an improvement has to be larger, at least 0.
    """

    def __init__(self, monitor: str, min_delta: float) -> None:
        check(choice("monitor", monitor, MONITORS), number("min_delta", min_delta, min_value=0, below=1e30))
        self.monitor = monitor
        self.min_delta = min_delta
        self.state: dict[str, Tensor] = {}  # best, waited and ended (S,), and the kept rows of weights and buffers

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin without a best value."""
        classifier = cast(StackedClassifier, pl_module)
        seeds = len(next(classifier.network.parameters()))
        counts = {name: torch.zeros(seeds, dtype=torch.int64) for name in ("waited", "ended")}
        self.state = {"best": torch.full((seeds,), torch.inf), **counts, **_weights(classifier)}

    def state_dict(self) -> dict[str, Any]:
        """Return what each seed has reached; every tensor leads with S."""
        return dict(self.state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what each seed had reached."""
        self.state = dict(state_dict)

    def improved(self, classifier: StackedClassifier) -> Tensor | None:
        """Update the best values and return which seeds improved, (S,), or None after an epoch without the metric."""
        curve = classifier.curves.of_epochs()[self.monitor]
        if len(curve) < len(classifier.curves.step_loss):
            return None
        value = curve[-1].float() * (-1 if self.monitor.endswith("accuracy") else 1)
        better = value + self.min_delta < self.state["best"]
        self.state["best"] = torch.where(better, value, self.state["best"])
        return better

    def keep(self, classifier: StackedClassifier, seeds: Tensor) -> None:
        """Keep the weights that some seeds, (S,), have now."""
        for name, value in _weights(classifier).items():
            self.state[name][seeds] = value[seeds]

    def give_back(self, classifier: StackedClassifier, seeds: Tensor) -> None:
        """Give some seeds, (S,), the weights that were kept of them."""
        weights = _weights(classifier)
        for name, value in weights.items():
            value[seeds] = self.state[name][seeds]
        classifier.flat.values.data.copy_(classifier.flat.from_rows(weights["kept.values"]))
        for name, buffer in classifier.network.named_buffers():
            buffer.copy_(weights[f"kept.{name}"])


class EarlyStopping(_SeedMonitor):
    """Stops each seed once its metric has not improved for some epochs, and the training once all have stopped.

    The rule is that of ``lightning.pytorch.callbacks.EarlyStopping``. A seed has the weights of its last epoch, or of
    the best one with ``BestEpoch``.

    Args:
        monitor: train/loss, train/accuracy, val/loss or val/accuracy.
        patience: Epochs without improvement after which a seed stops, at least 1.
        min_delta: What counts as an improvement has to be larger, at least 0.

    Raises:
        SettingsError: If an argument is out of its range.
    """

    def __init__(self, monitor: str, patience: int, min_delta: float = 0.0) -> None:
        check(whole("patience", patience, min_value=1))
        super().__init__(monitor, min_delta)
        self.patience = patience

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say which seeds have stopped, in this training or in that of a checkpoint."""
        cast(StackedClassifier, pl_module).ended = self.state["ended"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the seeds whose patience has ended with this epoch."""
        classifier = cast(StackedClassifier, pl_module)
        better = self.improved(classifier)
        if better is not None:
            waited, ended = self.state["waited"], self.state["ended"]
            waited += 1
            waited[better] = 0
            stopping = (ended == 0) & (waited >= self.patience)
            ended[stopping] = trainer.current_epoch + 1
            self.keep(classifier, stopping)
        trainer.should_stop = trainer.should_stop or bool(self.state["ended"].all())

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give each seed that stopped the weights of its last epoch."""
        if not any(isinstance(callback, BestEpoch) for callback in cast(Any, trainer).callbacks):
            self.give_back(cast(StackedClassifier, pl_module), self.state["ended"] > 0)


class BestEpoch(_SeedMonitor):
    """Gives each seed the weights of its best epoch when the training has ended.

    Args:
        monitor: train/loss, train/accuracy, val/loss or val/accuracy.
        min_delta: What counts as an improvement has to be larger, at least 0.

    Raises:
        SettingsError: If an argument is out of its range.
    """

    def __init__(self, monitor: str, min_delta: float = 0.0) -> None:
        super().__init__(monitor, min_delta)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the weights of the seeds that are better than ever; those of a seed that stopped before stay."""
        classifier = cast(StackedClassifier, pl_module)
        ended = self.state["ended"] if classifier.ended is None else classifier.ended
        before = self.state["best"]
        better = self.improved(classifier)
        if better is not None:
            stopped = (ended > 0) & (ended <= trainer.current_epoch)
            self.state["best"] = torch.where(stopped, before, self.state["best"])
            self.keep(classifier, better & ~stopped)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give each seed the weights of its best epoch; one that never had a finite metric keeps its last."""
        self.give_back(cast(StackedClassifier, pl_module), self.state["best"].isfinite())


def _weights(classifier: StackedClassifier) -> dict[str, Tensor]:
    """Return copies of the weights, (S, P / S), and of the buffers of the network, each leading with S."""
    buffers = {f"kept.{name}": buffer.clone() for name, buffer in classifier.network.named_buffers()}
    return {"kept.values": classifier.flat.rows(classifier.flat.values.detach()), **buffers}
