"""The table that a command prints when a condition is finished."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from src.storage import schema
from src.storage.schema import FAILED, NO_LOSS, Results

MAX_ROWS = 10  # more seeds are summarised
METRICS = {
    "test accuracy": "test/accuracy",
    "balanced accuracy": "test/balanced_accuracy",
    "majority": "test/majority_accuracy",
    "population accuracy": "population/accuracy",
    "regret": "population/regret",
}
SPREAD: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean, "sd": statistics.stdev, "min": min, "max": max
}  # fmt: skip


def show(console: Console, results: Sequence[Results], folder: Path) -> None:
    """Print the closing table of a condition: one row per seed, or their spread for more than ten seeds.

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
    metrics = {name: metric for name, metric in METRICS.items() if any(metric in each.metrics for each in completed)}
    for name in metrics:
        table.add_column(name, justify="right")
    for cells in (_rows if len(completed) <= MAX_ROWS else _spread)(completed, list(metrics.values())):
        table.add_row(*cells)
    console.print(table)
    for result in results:
        if result.status == FAILED:
            console.print(f"{result.name} failed: {result.error}", style="red", markup=False, soft_wrap=True)
    console.print(f"files: {folder}", markup=False, soft_wrap=True)


def show_crossed(console: Console, folder: Path, parts: Sequence[Mapping[str, Sequence[str]]]) -> None:
    """Print the closing table of a condition that several jobs trained, from the results that they wrote.

    Args:
        console: Where to print.
        folder: The directory of the condition.
        parts: For each job the lists of seeds that it crossed, by key: ``seed`` and the pinned ``seeds.*``.
    """
    results = []
    for lists in parts:
        for values in product(*lists.values()):
            pins = {key.removeprefix("seeds."): int(value) for key, value in zip(lists, values, strict=True)}
            path = schema.seed_folder(folder, pins.pop("seed"), pins)
            with suppress(schema.ArtifactError):  # of a seed that has no results, as its job failed or was lost
                results.append(schema.read_results(path))
    if results:
        show(console, results, folder)


def what(loss: str, model: str) -> str:
    """Name what is trained: its loss, or its model where that is fitted in closed form."""
    return f"model={model}" if loss == NO_LOSS else f"loss={loss}"


def _rows(results: Sequence[Results], metrics: Sequence[str]) -> list[list[str]]:
    return [
        [
            result.name.removeprefix("seed="),
            f"{result.metrics['test/correct']}/{result.metrics['test/count']}",
            *(_number(result.metrics.get(metric)) for metric in metrics),
        ]
        for result in results
    ]


def _spread(results: Sequence[Results], metrics: Sequence[str]) -> list[list[str]]:
    rows = []
    for name, summary in SPREAD.items():
        cells: list[Any] = [name, f"{len(results)} seeds" if name == "mean" else ""]
        for metric in metrics:
            values = [result.metrics[metric] for result in results if metric in result.metrics]
            cells.append(_number(summary(values)) if values else "-")
        rows.append(cells)
    return rows


def _number(value: float | None) -> str:
    """Return a number with four decimals, of which a zero has no sign; a dash for none.

    Example:
        >>> _number(0.69225), _number(-1e-9), _number(None)
        ('0.6923', '0.0000', '-')
    """
    return "-" if value is None else f"{value:z.4f}"
