"""Stacks stored as tables: the runs of many seeds of a condition in a few files, for ``storage=table``.

The files of a run have the same names there, with other endings, and one row or block of rows for each run::

    <study>/<condition>/stack-0/
        results.parquet      one row per run: its name, its seeds, its metrics, and the rest of results.json
        history.parquet      the rows of history.csv of each run, after the column run; the same of every CSV file
        weights.safetensors  each parameter with the axis S, one row per run that has a checkpoint
        seed=0/              what is no table, such as figures, of the runs that have it

A directory of a stack is whole or absent, and never changed. Where several hold one run, the last one counts, and a
directory of the run itself before all of them.
"""

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.utils.errors import first_line
from src.utils.seeds import SEED_KEYS

PREFIX = "stack-"  # of the name of a directory, before its number
RESULTS = "results.parquet"
WEIGHTS = "weights.safetensors"
RUN = "run"  # the column with the name of the run, such as seed=7
CHECKPOINT = "checkpoint"  # the column with what a checkpoint holds beside the weights
WRITTEN = "written"  # the column with the time at which the results were written, in seconds since 1970
ROWS = "rows."  # before the name of a table, in the column with the number of its rows
TEXT = "text."  # before the name of a file that is no table, in the column with its content
JSON = ("overrides", "config", "versions", "class_names")  # columns with JSON
TEXTS = ("study", "condition", "fingerprint", "loss", "model", "data", "status", "error")
PLAIN = (*TEXTS, "classes", "seconds", "schema")
FIXED = {RUN, CHECKPOINT, WRITTEN, *JSON, *PLAIN, *SEED_KEYS}
EXTRA = "pip install -e '.[table]'"
MAX_BLOCK_BYTES = 2**30  # of a row group, in memory
_BLOCK = 1024  # rows of the results that are converted at once
_DIRECTORY = re.compile(rf"{PREFIX}(\d+)", flags=re.ASCII)


class BrokenStackError(ValueError):
    """A file of a stack is missing or broken; the message is one line."""


@dataclass(frozen=True)
class StackRun:
    """One run of a stack: what a directory of its own would hold.

    Attributes:
        stack: The stack.
        index: Index of the run in it.
    """

    stack: "Stack"
    index: int

    @property
    def beside(self) -> Path:
        """The directory of the files that no table holds, which may not exist."""
        return self.stack.folder / self.stack.names[self.index]

    @property
    def written(self) -> float:
        """When its results were written, in seconds since 1970."""
        return float(self.stack.row(self.index)[WRITTEN])

    @property
    def texts(self) -> list[str]:
        """The names of the text files that tables hold of the run, except its results."""
        found = [name for name, value in self.stack.row(self.index).items() if value is not None]
        tables = [f"{name.removeprefix(ROWS)}.csv" for name in found if name.startswith(ROWS)]
        return tables + [name.removeprefix(TEXT) for name in found if name.startswith(TEXT)]

    def results(self) -> dict[str, Any]:
        """Return the content of ``results.json``. Runs of a stack share the parts in which they are equal."""
        path = self.stack.folder / RESULTS
        with _reading(path):
            return results_of(self.stack.row(self.index), self.stack.metrics)

    def has(self, name: str) -> bool:
        """Return whether the run has a file."""
        return name in self.texts or (self.beside / name).is_file()

    def text(self, name: str) -> str | None:
        """Return the content of a text file of the run, or None where it has no such file."""
        if TEXT + name in self.stack.column_names and (text := self.stack.row(self.index)[TEXT + name]) is not None:
            return str(text)
        table = self.table(name)
        return None if table is None else table.to_csv(index=False, lineterminator="\n")

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a CSV file of the run as pandas reads it, or None where no table has it."""
        stem = Path(name).stem
        if ROWS + stem not in self.stack.column_names or self.stack.row(self.index)[ROWS + stem] is None:
            return None
        with _reading(self.stack.table_path(stem)):
            number, rows = self._place(stem)
            found = _group(self.stack, stem, number).iloc[rows]
        found.index = pd.RangeIndex(len(found))
        return found

    def columns(self, name: str, columns: tuple[str, ...], runs: int = 1) -> dict[str, NDArray[Any]] | None:
        """Return columns of a CSV file of the run, and of those that follow it, or None where no table has them.

        They are views of the columns of many runs, which are read at once.

        Args:
            name: Name of the file.
            columns: The columns.
            runs: Number of runs, at most as many as ``neighbours`` returns.
        """
        stem = Path(name).stem
        if ROWS + stem not in self.stack.column_names:
            return None
        with _reading(self.stack.table_path(stem)):
            number, rows = self._place(stem, runs)
            values = _columns(self.stack, stem, number, columns)
            return {name: each[rows] for name, each in values.items()} if values and rows.stop > rows.start else None

    def neighbours(self, name: str) -> NDArray[np.integer]:
        """Return how many rows of a CSV file this run and those that follow it have, as far as one row group has them.

        It is empty where no table has the file of this run; none of the others lacks it.
        """
        stem = Path(name).stem
        if ROWS + stem not in self.stack.column_names:
            return np.empty(0, dtype=int)
        with _reading(self.stack.table_path(stem)):
            starts = np.array(self.stack.starts(ROWS + stem)[self.index :])
            number, _ = self._place(stem)
            rows = np.diff(starts)
            alike = (rows > 0) & (starts[1:] <= _first_rows(self.stack, stem)[number + 1])
            return rows[: len(rows) if alike.all() else int(alike.argmin())]

    def _place(self, stem: str, runs: int = 1) -> tuple[int, slice]:
        """Return the row group of a table that has the rows of the run, as one has all of them, and where in it."""
        starts = self.stack.starts(ROWS + stem)
        start, end = starts[self.index], starts[self.index + runs]
        first = _first_rows(self.stack, stem)
        number = bisect_right(first, start) - 1
        if number == len(first) - 1:
            raise ValueError(f"it has {first[-1]} rows, expected at least {end}")
        return number, slice(start - first[number], end - first[number])

    def checkpoint(self) -> dict[str, Any] | None:
        """Return what a checkpoint holds, with the weights as ``state_dict``, or None where no table has them."""
        about = self.stack.row(self.index)[CHECKPOINT]
        if about is None:
            return None
        path = self.stack.folder / WEIGHTS
        row = self.stack.starts(CHECKPOINT)[self.index]
        with _reading(path):
            return json.loads(about) | {"state_dict": _weights(_regular(path), row)}


class Stack:
    """A stack in its directory, of which files are read when they are needed.

    Args:
        folder: The directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._starts: dict[str, list[int]] = {}

    @cached_property
    def names(self) -> list[str]:
        """The names of its runs, such as ``seed=7``."""
        with _reading(self.folder / RESULTS):
            return list(map(str, self._results.column(RUN).to_pylist()))

    @cached_property
    def column_names(self) -> list[str]:
        """The names of the columns of the results."""
        return list(self._results.column_names)

    @cached_property
    def metrics(self) -> list[str]:
        """The names of the metrics that any run has."""
        return [name for name in self.column_names if name not in FIXED and not name.startswith((ROWS, TEXT))]

    def table_path(self, stem: str) -> Path:
        """Return the path of a table, by the name of a CSV file of a run without its ending."""
        return self.folder / f"{stem}.parquet"

    def may_hold(self, name: str) -> bool:
        """Return whether tables hold a text file, such as ``history.csv``, of any run."""
        return TEXT + name in self.column_names or ROWS + Path(name).stem in self.column_names

    def row(self, index: int) -> Mapping[str, Any]:
        """Return a row of the results."""
        return _block(self, index // _BLOCK)[index % _BLOCK]

    def rows(self, start: int, count: int) -> list[dict[str, Any]]:
        """Return some rows of the results."""
        with _reading(self.folder / RESULTS):
            columns = [_values(column) for column in self._results.slice(start, count).columns]
            return [dict(zip(self.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

    def starts(self, column: str) -> list[int]:
        """Return where the rows of each run begin in a table, or in the weights, by the column that counts them."""
        if column not in self._starts:
            values = self._results.column(column).to_pylist()
            counts = [int(value is not None) if column == CHECKPOINT else value or 0 for value in values]
            self._starts[column] = [0, *accumulate(counts)]
        return self._starts[column]

    @cached_property
    def _results(self) -> Any:
        path = self.folder / RESULTS
        options = {"read_dictionary": [*JSON, *TEXTS, CHECKPOINT], "page_checksum_verification": True}
        with _reading(path):
            table = _parquet().read_table(_regular(path), **options)
            table.column_names  # noqa: B018 - raises where a name is not UTF-8
            return table


def _values(column: Any) -> list[Any]:
    """Return what ``column.to_pylist()`` does, which looks up each index of a dictionary by itself."""
    if not hasattr(column.type, "index_type"):
        return list(column.to_pylist())
    found: list[Any] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        found += [None if index is None else words[index] for index in chunk.indices.to_pylist()]
    return found


def results_of(row: Mapping[str, Any], metrics: Iterable[str]) -> dict[str, Any]:
    """Return the content of ``results.json`` from the row of a run, of which these columns are metrics."""
    content: dict[str, Any] = {name: intern(row[name]) if isinstance(row[name], str) else row[name] for name in PLAIN}
    content |= {name: _shared(row[name]) for name in JSON}
    content["seed"] = row["seed"]
    streams = {key.removeprefix("seeds."): row[key] for key in SEED_KEYS[1:]}
    content["streams"] = {purpose: seed for purpose, seed in streams.items() if seed is not None}
    content["metrics"] = {name: row[name] for name in metrics if row[name] is not None}
    if isinstance(seeds := content["config"].get("seeds"), dict):
        pins = dict(word.split("=") for word in row[RUN].split(",")[1:])
        seeds = seeds | {purpose: int(seed) for purpose, seed in pins.items()}
        content["config"] = content["config"] | {"seed": row["seed"], "seeds": seeds}
    return content


def open_stack(folder: Path) -> Stack:
    """Return a stack, of which all that was read before is kept, unless its files have changed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
    except OSError:
        found = []
    return _stack(folder, tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found))


def is_stack(folder: Path) -> bool:
    """Return whether a directory is named like that of a stack.

    Example:
        >>> is_stack(Path("ce/stack-0")), is_stack(Path("ce/seed=0"))
        (True, False)
    """
    return _DIRECTORY.fullmatch(folder.name) is not None


def stacks(condition: Path) -> list[Path]:
    """Return the directories of the stacks of a condition, the first one first; links are not followed."""
    found = [path for path in condition.glob(f"{PREFIX}*") if is_stack(path) and not path.is_symlink()]
    return sorted((path for path in found if path.is_dir()), key=lambda path: int(path.name.removeprefix(PREFIX)))


def find_run(folder: Path) -> StackRun | None:
    """Return the run that a stack holds in the place of a directory, or None where it holds none.

    Args:
        folder: The directory that the run has, or would have with ``storage=files``.
    """
    if os.path.isdir(folder):  # noqa: PTH112 - of 100,000 runs, pathlib's takes seconds
        return None
    return runs_in_stacks(folder.parent).get(folder.name)


def runs_in_stacks(condition: Path) -> Mapping[str, StackRun]:
    """Return the runs that the stacks of a condition hold, by name; stacks that cannot be read are left out."""
    try:
        changed = condition.stat().st_mtime_ns
    except OSError:
        return {}
    return _runs(condition, changed)


def broken_stacks(condition: Path) -> list[str]:
    """Return a line for each stack of a condition that cannot be read."""
    lines = []
    for folder in stacks(condition):
        try:
            open_stack(folder).names  # noqa: B018 - read here
        except BrokenStackError as error:
            lines.append(f"{error}; remove {folder} and train its seeds again")
    return lines


def forget() -> None:
    """Look again which stacks conditions have, after some were written or removed."""
    _runs.cache_clear()


@lru_cache(maxsize=128)
def _stack(folder: Path, _: tuple[Any, ...]) -> Stack:
    return Stack(folder)


@lru_cache(maxsize=4)
def _runs(condition: Path, _: int) -> Mapping[str, StackRun]:
    found: dict[str, StackRun] = {}
    for folder in stacks(condition):
        stack = open_stack(folder)
        try:
            found |= {name: StackRun(stack, index) for index, name in enumerate(stack.names)}
        except BrokenStackError:
            continue
    return found


@lru_cache(maxsize=2)  # as those of all stacks would take gigabytes
def _block(stack: Stack, number: int) -> list[dict[str, Any]]:
    return stack.rows(number * _BLOCK, _BLOCK)


@lru_cache(maxsize=64)
def _shared(text: str) -> Any:
    return json.loads(text)


@lru_cache(maxsize=16)
def _first_rows(stack: Stack, stem: str) -> list[int]:
    """Return the first row of each row group of a table, and the number of all rows."""
    with _open_table(stack, stem) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        if any(group.total_byte_size > MAX_BLOCK_BYTES for group in groups):
            raise ValueError(f"a row group claims more than {MAX_BLOCK_BYTES} bytes")
        return [0, *accumulate(group.num_rows for group in groups)]


@lru_cache(maxsize=8)
def _group(stack: Stack, stem: str, number: int) -> pd.DataFrame:
    with _open_table(stack, stem) as file:
        table: pd.DataFrame = file.read_row_group(number).drop_columns([RUN]).to_pandas()
        return table


@lru_cache(maxsize=8)
def _columns(stack: Stack, stem: str, number: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return columns of a row group; none where it lacks one of them."""
    with _open_table(stack, stem) as file:
        table: pd.DataFrame = file.read_row_group(number, columns=list(names)).to_pandas()
    return {name: table[name].to_numpy() for name in names} if sorted(table.columns) == sorted(names) else {}


def _weights(path: Path, row: int) -> dict[str, Any]:
    from safetensors import safe_open  # an optional extra, which imports torch

    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name)[row : row + 1] for name in file.keys()}  # noqa: SIM118 - no dictionary


def _parquet() -> Any:
    try:
        import pyarrow.parquet  # an optional extra
    except ImportError:
        raise BrokenStackError(f"reading a stack of storage=table needs {EXTRA}") from None
    return pyarrow.parquet


@contextmanager
def _open_table(stack: Stack, stem: str) -> Iterator[Any]:
    path = stack.table_path(stem)
    with _reading(path), _parquet().ParquetFile(_regular(path), page_checksum_verification=True) as file:
        yield file


def _regular(path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is missing, or no regular file")
    return path


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise ``BrokenStackError`` for whatever the body raises, as the readers of a broken file raise anything."""
    try:
        yield
    except BrokenStackError:
        raise
    except Exception as error:
        raise BrokenStackError(f"{path} cannot be read: {first_line(error)}") from None
