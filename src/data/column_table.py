"""What a table was taken for, as text: a row per column, and the classes with their counts. Imports no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as TextTable

from src.data.columns import Column, find_columns
from src.data.dataframe import TableSettings, digest, read_frame, read_labelled_table
from src.utils.validation import SettingsError

_TARGET = "src.data.tabular.CsvTable"
_MAX_LISTED = 10  # classes
_shown: set[str] = set()


def show_table_once(console: Console, data: Mapping[str, Any]) -> None:
    """Print the columns of the file of a condition, once in a process for the same file and settings.

    Args:
        console: Where to print.
        data: The settings ``data``; nothing is printed for other data than a file.
    """
    if data.get("_target_") != _TARGET:
        return
    settings = TableSettings.of(data)
    key = f"{digest(data['path'])}{settings}"
    if key not in _shown:
        _shown.add(key)
        show_table(console, data["path"], settings)


def show_table(console: Console, path: Any, settings: TableSettings) -> None:
    """Print the columns and the classes of a file.

    Raises:
        SettingsError: If the table cannot be used; its columns are printed first where they are known.
    """
    try:
        frame = read_frame(path, settings)
    except SettingsError:
        table = read_labelled_table(path, settings)
        if isinstance(settings.target, str) and settings.target in table.columns:
            columns = find_columns(table, settings.target, settings)
            console.print(column_table(Path(path).name, columns, table[settings.target], len(table)))
        raise
    console.print(column_table(Path(path).name, frame.columns, frame.labels, len(frame.labels)))
    counts = np.bincount(frame.classes.target)
    shown = [f"{name} ({count})" for name, count in zip(frame.classes.names, counts, strict=True)]
    more = ["..."] if len(shown) > _MAX_LISTED else []
    console.print(f"classes: {', '.join(shown[:_MAX_LISTED] + more)}", markup=False, soft_wrap=True)
    alone = counts.max() / counts.sum()
    console.print(f"the largest class alone is {alone:.1%} of the rows", markup=False, soft_wrap=True)


def column_table(title: str, columns: Sequence[Column], target: pd.Series, rows: int) -> TextTable:
    """Return a table with a row per column: name, role, how many values it has, how many it lacks, and its use."""
    table = TextTable(title=f"{title}: {rows} rows", box=box.SIMPLE, title_justify="left")
    for name in ("column", "role", "use"):
        table.add_column(name)
    for name in ("values", "missing"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for column in columns:
        use = "refused" if column.setting else "feature" if column.used else "not used"
        table.add_row(
            _plain(column.name), column.role, use, str(column.values), str(column.missing), _plain(column.note)
        )
    table.add_row(_plain(str(target.name)), "target", "class", str(target.nunique()), str(int(target.isna().sum())), "")
    return table


def _plain(text: str) -> str:
    """Return a text of a file without what rich or a terminal would act upon."""
    visible = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
    return visible.replace("[", r"\[")
