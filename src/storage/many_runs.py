"""Readers of one file of many runs, which cost far less per run of a stack than those of a single run."""

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.storage import stack_table
from src.storage.stack_table import BrokenStackError, StackRun

_NO_ROWS = np.empty(0, dtype=int)


@dataclass(frozen=True)
class Block:
    """Runs of one condition, in a row, whose rows of a CSV file a stack holds in a row too; or a single run.

    Attributes:
        start: Position of the first of them among all runs.
        rows: Number of rows of each, (stop - start,), all at least 1; empty where no stack holds them.
    """

    start: int
    rows: NDArray[np.integer]
    _name: str
    _first: StackRun | None

    @property
    def stop(self) -> int:
        """Position after the last of them."""
        return self.start + max(1, len(self.rows))

    def columns(self, names: tuple[str, ...]) -> dict[str, NDArray[Any]] | None:
        """Return columns of numbers, one run after the other.

        Returns:
            The columns; None where the runs have to be read one by one, as no stack holds them, or a column is missing,
            cannot be read, or holds anything else than numbers.
        """
        if self._first is None or not len(self.rows):
            return None
        try:
            found = self._first.columns(self._name, names, len(self.rows))
        except BrokenStackError:
            return None
        return found if found and all(values.dtype.kind in "iuf" for values in found.values()) else None


def blocks(folders: Sequence[str], conditions: Sequence[Hashable], name: str) -> Iterator[Block]:
    """Yield the blocks into which runs fall, in order.

    Args:
        folders: Directory of each run, which only names the run where a stack holds it.
        conditions: Condition of each run.
        name: Name of a CSV file of the runs, such as ``predictions.csv``.
    """
    runs = _runs_of_stacks(folders)
    start = 0
    while start < len(runs):
        first = runs[start]
        rows = _NO_ROWS if first is None else _rows_in_a_row(first, name)
        count = 0
        for run, condition in zip(runs[start : start + len(rows)], conditions[start:], strict=False):
            if run is None or first is None or run.stack is not first.stack or run.index != first.index + count:
                break
            if condition != conditions[start]:
                break
            count += 1
        yield (block := Block(start, rows[:count], name, first))
        start = block.stop


def _rows_in_a_row(run: StackRun, name: str) -> NDArray[np.integer]:
    try:
        return run.neighbours(name)
    except BrokenStackError:
        return _NO_ROWS  # whoever reads the run alone reports why


def may_have_file(folders: Sequence[str], name: str) -> list[bool]:
    """Return which runs may have a file: all but those of stacks that surely lack it.

    Args:
        folders: Directory of each run, which only names the run where a stack holds it.
        name: Name of the file, such as ``regions.csv``.
    """
    beside: dict[Path, frozenset[str]] = {}
    found = []
    for run in _runs_of_stacks(folders):
        if run is None or run.stack.may_hold(name):
            found.append(True)
            continue
        folder = run.stack.folder
        if folder not in beside:
            beside[folder] = _directories(folder)
        found.append(run.stack.names[run.index] in beside[folder])
    return found


def _runs_of_stacks(folders: Iterable[str]) -> list[StackRun | None]:
    """Return what ``stack_table.find_run`` returns for each directory, from one listing of each condition."""
    conditions: dict[str, tuple[Mapping[str, StackRun], frozenset[str]]] = {}
    found = []
    for folder in folders:
        condition, name = os.path.split(folder)
        if condition not in conditions:
            path = Path(condition)
            conditions[condition] = stack_table.runs_in_stacks(path), _directories(path)
        runs, directories = conditions[condition]
        found.append(None if name in directories else runs.get(name))
    return found


def _directories(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return frozenset()
