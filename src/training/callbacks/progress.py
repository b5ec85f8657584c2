"""Progress of the training of a stack."""

import time
from typing import cast

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from src.parallel.worker import reporter
from src.training.module import StackedClassifier

RATE = 10  # tellings of progress a second, at most


class TrainingProgress(L.Callback):
    """A bar with the epochs, the time left and the mean loss over the seeds; nothing where there is no terminal.

    In a worker process of a sweep it tells the launcher, which draws the bars of all workers.

    Args:
        label: What is being trained.
        console: Where to draw.
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
        """Advance, some times a second: epochs may be so short that to tell of each would take longer."""
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        if time.monotonic() < self.due and done < total:
            return
        self.due = time.monotonic() + 1 / RATE
        loss = f"mean loss {cast(StackedClassifier, pl_module).curves.train_loss[-1].mean():.4f}"
        self.progress.update(self.task, completed=done, loss=loss)
        if self.report is not None:
            self.report(self.label, done, total, loss)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the bar as it is, also when training was interrupted."""
        self.progress.stop()
