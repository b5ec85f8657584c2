"""What training writes of one run: files of its directory, or what the tables of its stack hold instead."""

import io
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from src.storage import schema, stack_table
from src.storage.csv_text import csv_text
from src.storage.schema import CHECKPOINT, Results

Columns = Mapping[Any, NDArray[Any]]  # numbers by the name of the column, (n,) each

_PLAIN_NAME = re.compile(r"[\w./-]+", flags=re.ASCII)  # which a CSV file does not change


class RunFolder:
    """The directory of a run, to which its files are written.

    Args:
        path: The directory, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_numbers(self, name: str, parts: Iterable[Columns]) -> None:
        """Write a CSV file of numbers.

        Args:
            name: Name of the file.
            parts: Its rows, some at a time.

        Raises:
            OSError: If it cannot be written.
        """
        with (self.path / name).open("w", encoding="utf-8", newline="") as file:
            for number, part in enumerate(parts):
                file.write(csv_text(part, header=number == 0))

    def write_checkpoint(self, content: dict[str, Any]) -> None:
        """Write the checkpoint.

        Raises:
            OSError: If it cannot be written.
        """
        buffer = io.BytesIO()
        torch.save(content, buffer)
        (self.path / CHECKPOINT).write_bytes(buffer.getbuffer())  # torch itself hides why a file cannot be written

    def write_results(self, results: Results) -> None:
        """Write the results, which is done last.

        Raises:
            OSError: If they cannot be written.
        """
        schema.write_results(self.path, results)


class StackedRun(RunFolder):
    """A run of a stack of ``storage=table``: what the tables hold exactly is kept for them, the rest in a directory.

    Args:
        path: The directory, which exists.

    Attributes:
        tables: Tables as their CSV files are read, by the name of the file.
        checkpoint: What the checkpoint holds, or None.
        results: The results, or None.
        written: When they were written, in seconds since 1970.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tables: dict[str, dict[str, NDArray[Any]]] = {}
        self.checkpoint: dict[str, Any] | None = None
        self.results: Results | None = None
        self.written = 0.0

    def write_numbers(self, name: str, parts: Iterable[Columns]) -> None:
        """Keep a table of numbers, or write it where its CSV file has to be read for what can be kept."""
        listed = list(parts)
        columns = {each: np.concatenate([part[each] for part in listed]) for each in listed[0]}
        kept = {each: values for each in columns if (values := _as_read(each, columns[each])) is not None}
        if kept.keys() == columns.keys():
            self.tables[name] = kept
        else:
            super().write_numbers(name, [columns])

    def write_checkpoint(self, content: dict[str, Any]) -> None:
        """Keep the checkpoint."""
        self.checkpoint = content

    def write_results(self, results: Results) -> None:
        """Keep the results."""
        self.results, self.written = results, time.time()


def _as_read(name: Any, values: NDArray[Any]) -> NDArray[Any] | None:
    """Return a column as it is read from a CSV file, or None where it is not known to be written alike after that."""
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name) or name == stack_table.RUN or not len(values):
        return None
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    if values.dtype == np.float64:
        return values
    if values.dtype.kind != "f":
        return None
    texts = values.astype(str)  # the shortest, which for a large float32 has an exponent where a float64 has zeros
    read = texts.astype(np.float64)
    return read if (read.astype(str) == texts).all() else None
