"""What a run says on the console: a progress bar while it trains, and a table at the end."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from src.artifacts import FAILED, NO_LOSS, Results
from src.classifier import Classifier
from src.workers.worker import reporter

LONG = 10  # more seeds than that are summed up
RATE = 10  # tellings of progress a second, at most
METRICS = {
    "test accuracy": "test/accuracy",
    "population accuracy": "population/accuracy",
    "regret": "population/regret",
}
SPREAD: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean, "sd": statistics.stdev, "min": min, "max": max
}  # fmt: skip


def stdout() -> Console:
    """Return the console; wide enough for a path where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


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
        loss = f"mean loss {cast(Classifier, pl_module).train_loss[-1].mean():.4f}"
        self.progress.update(self.task, completed=done, loss=loss)
        if self.report is not None:
            self.report(self.label, done, total, loss)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the bar as it is, also when training was interrupted."""
        self.progress.stop()


def show(console: Console, results: Sequence[Results], folder: Path) -> None:
    """Print the closing table of a condition: a row a seed, or their spread if there are more than ten.

    Args:
        console: Where to print.
        results: The results of the condition's seeds, at least one.
        folder: The folder of the condition.
    """
    completed = [result for result in results if result.status != FAILED]
    bayes = next((result.metrics["bayes/accuracy"] for result in completed if "bayes/accuracy" in result.metrics), None)
    first = results[0]
    title = f"{what(first.loss, first.model)} classes={first.classes}" + (
        "" if bayes is None else f"  Bayes accuracy {bayes:.4f}"
    )
    table = Table(title=title, box=box.SIMPLE if console.is_terminal else None, title_justify="left")
    table.add_column("seed", justify="right")
    table.add_column("correct", justify="right")
    for name in METRICS:
        table.add_column(name, justify="right")
    for cells in _rows(completed) if len(completed) <= LONG else _spread(completed):
        table.add_row(*cells)
    console.print(table)
    for result in results:
        if result.status == FAILED:
            console.print(f"{result.name} failed: {result.error}", style="red", markup=False, soft_wrap=True)
    console.print(f"files: {folder}", markup=False, soft_wrap=True)


def what(loss: str, model: str) -> str:
    """Name what is trained: its loss, or its model where that is fitted in closed form."""
    return f"model={model}" if loss == NO_LOSS else f"loss={loss}"


def _rows(results: Sequence[Results]) -> list[list[str]]:
    return [
        [
            result.name.removeprefix("seed="),
            f"{result.metrics['test/correct']}/{result.metrics['test/count']}",
            *(_number(result.metrics.get(metric)) for metric in METRICS.values()),
        ]
        for result in results
    ]


def _spread(results: Sequence[Results]) -> list[list[str]]:
    rows = []
    for name, summary in SPREAD.items():
        cells: list[Any] = [name, f"{len(results)} seeds" if name == "mean" else ""]
        for metric in METRICS.values():
            values = [result.metrics[metric] for result in results if metric in result.metrics]
            cells.append(_number(summary(values)) if values else "-")
        rows.append(cells)
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
