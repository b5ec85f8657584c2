"""Progress of the training of a stack."""

import time
from typing import cast

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from src.parallel.worker import reporter
from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier

MAX_UPDATES = 10  # of the progress, per second


class TrainingProgress(SeedCallback):
    """A bar with the epochs, the time left and the mean loss over the seeds; without a terminal it draws nothing.

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
            TextColumn("{task.fields[loss]}"),
        )
        self.label = label
        self.report = reporter()
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal or self.report is not None)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self.due = time.monotonic()
        self.task = self.progress.add_task(self.label, total=trainer.max_epochs, loss="")
        self.progress.start()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance the bar at a limited rate, as an update takes longer than a short epoch."""
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        if time.monotonic() < self.due and done < total:
            return
        self.due = time.monotonic() + 1 / MAX_UPDATES
        loss = f"mean loss {cast(StackedClassifier, pl_module).curves.train_loss[-1].mean():.4f}"
        self.progress.update(self.task, completed=done, loss=loss)
        if self.report is not None:
            self.report(self.label, done, total, loss)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Stop the bar where it is, also when training was interrupted."""
        self.progress.stop()
