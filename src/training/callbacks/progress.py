"""Progress of the training of a stack."""

import time
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from src.parallel.worker import reporter
from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier

MAX_UPDATES = 10  # of the progress, per second


def seed_progress(classifier: StackedClassifier) -> dict[str, str]:
    """Return the last mean loss of the seeds that have not diverged, and how many stopped early or diverged, if any."""
    if not classifier.curves.train_loss:
        return {}
    loss = classifier.curves.train_loss[-1]  # (S,)
    stopped = torch.zeros(len(loss), dtype=torch.bool) if classifier.ended is None else classifier.ended > 0
    diverged = ~loss.isfinite() & ~stopped
    counts = {name: int(seeds.sum()) for name, seeds in (("stopped", stopped), ("diverged", diverged))}
    shown = {name: f"{count}/{len(loss)}" for name, count in counts.items() if count}
    return {"mean loss": f"{loss[loss.isfinite()].mean():.4f}", **shown}


class SeedProgressBar(RichProgressBar):
    """Lightning's bar of the mini-batches, with what ``seed_progress`` returns."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what the bar shows."""
        return super().get_metrics(trainer, pl_module) | seed_progress(cast(StackedClassifier, pl_module))


class TrainingProgress(SeedCallback):
    """A bar with the epochs, the time left and what ``seed_progress`` returns; without a terminal it draws nothing.

    In a worker process of a sweep it reports to the launcher, which draws the bars of all workers.

    Args:
        label: Name of what is trained.
        console: The console to draw on.
    """

    def __init__(self, label: str, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[seeds]}"),
        )
        self.label = label
        self.report = reporter()
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal or self.report is not None)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self.due = time.monotonic()
        self.task = self.progress.add_task(self.label, total=trainer.max_epochs, seeds="")
        self.progress.start()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance the bar at a limited rate, as an update takes longer than a short epoch."""
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        if time.monotonic() < self.due and done < total and not trainer.should_stop:
            return
        self.due = time.monotonic() + 1 / MAX_UPDATES
        seeds = ", ".join(" ".join(item) for item in seed_progress(cast(StackedClassifier, pl_module)).items())
        self.progress.update(self.task, completed=done, seeds=seeds)
        if self.report is not None:
            self.report(self.label, done, total, seeds)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Stop the bar where it is, also when training was interrupted."""
        self.progress.stop()
