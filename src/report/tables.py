"""Tables of results: as CSV files, and on the console."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from src.storage.atomic import replacing_file

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV in which no text can act as a formula of a spreadsheet."""
    safe = table.rename(columns=harmless).map(harmless)
    with replacing_file(path) as scratch:
        safe.to_csv(scratch, index=False, lineterminator="\n")


def harmless(cell: Any) -> Any:
    """Return a cell as it is, but put a quote before text that a spreadsheet would run as a formula.

    Example:
        >>> harmless("=1+1"), harmless("mse"), harmless(-0.5)
        ("'=1+1", 'mse', -0.5)
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", "\n")  # which a CSV file would take for the end of a row
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def summary_table(summary: pd.DataFrame, metrics: list[str], confidence: float = 0.95) -> Table:
    """Return the console's table: a row a condition, with the spread of some metrics.

    Args:
        summary: What ``src.analysis.summary.summarize`` returns.
        metrics: Metrics to show: mean (sd) and the interval of the mean.
        confidence: Of the intervals.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("condition", overflow="fold")
    for name in ("classes", "n", "failed"):
        table.add_column(name, justify="right")
    for metric in metrics:
        table.add_column(Text(f"{metric}\nmean (sd) [{confidence:.0%} interval]"), justify="right")
    ends = [name for name in ("population/regret mean", "bayes/accuracy") if name in summary.columns]
    for name in ends:
        table.add_column(Text(name.replace("/", "\n", 1).removesuffix(" mean")), justify="right")
    for _, row in summary.iterrows():
        spreads = [_spread(row, metric) for metric in metrics]
        counts = [str(row[name]) for name in ("classes", "n", "failed")]
        table.add_row(Text(str(row["label"])), *counts, *spreads, *(_number(row[name]) for name in ends))
    return table


def _spread(row: pd.Series, metric: str) -> str:
    mean, sd, low, high = (row[f"{metric} {part}"] for part in ("mean", "sd", "low", "high"))
    if pd.isna(sd):
        return _number(mean)
    return f"{_number(mean)} ({_number(sd)}) [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    """Return a number with three decimals, or more where it is small; a dash for none.

    Example:
        >>> _number(0.74125), _number(0.00012), _number(float("nan"))
        ('0.741', '0.00012', '-')
    """
    if pd.isna(value):
        return "-"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"
