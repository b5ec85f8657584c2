"""CSV files and the console table of results."""

from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from src.storage.atomic import replacing_file
from src.storage.spreadsheet import escape_formulas


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, with text escaped that a spreadsheet would run as a formula."""
    with replacing_file(path) as scratch:
        escape_formulas(table).to_csv(scratch, index=False, lineterminator="\n")


def summary_table(summary: pd.DataFrame, metrics: list[str], confidence: float = 0.95) -> Table:
    """Return the console table: one row per condition, with mean, standard deviation and interval of some metrics.

    Where seeds collapsed, there is no interval: see ``mean_of``.

    Args:
        summary: What ``src.analysis.summary.summarize`` returns.
        metrics: Metrics to show: mean (sd) and the interval of the mean.
        confidence: Of the intervals.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("condition", overflow="fold")
    for name in ("classes", "n", "failed", "collapsed"):
        table.add_column(name, justify="right")
    for metric in metrics:
        table.add_column(Text(f"{metric}\nmean (sd) [{confidence:.0%} interval]"), justify="right")
    ends = [name for name in ("population/regret mean", "bayes/accuracy") if name in summary.columns]
    for name in ends:
        table.add_column(Text(name.replace("/", "\n", 1).removesuffix(" mean")), justify="right")
    for _, row in summary.iterrows():
        spreads = [_spread(row, metric) for metric in metrics]
        counts = [str(row[name]) for name in ("classes", "n", "failed")]
        counts.append(str(row["collapsed"]) if row["collapsed n"] else "-")
        table.add_row(Text(str(row["label"])), *counts, *spreads, *(_number(row[name]) for name in ends))
    return table


def _spread(row: pd.Series, metric: str) -> str:
    mean, sd, low, high = (row[f"{metric} {part}"] for part in ("mean", "sd", "low", "high"))
    spread = "" if pd.isna(sd) else f" ({_number(sd)})"
    return _number(mean) + spread + ("" if pd.isna(low) else f" [{_number(low)}, {_number(high)}]")


def _number(value: float) -> str:
    """Return a number with three decimals, or more where it is small; a dash for none.

    Example:
        >>> _number(0.74125), _number(0.00012), _number(float("nan"))
        ('0.741', '0.00012', '-')
    """
    if pd.isna(value):
        return "-"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"
