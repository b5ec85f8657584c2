"""Confusion matrices of conditions, from the files of their runs."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.storage.many_runs import may_have_file
from src.storage.schema import CONFUSION, ArtifactError, file_text
from src.storage.spreadsheet import unescape_formula

_MAX_BYTES = 1_000_000  # a hundred classes take 30 kB


@dataclass(frozen=True)
class Confusion:
    """Test samples of all seeds of a condition."""

    names: tuple[str, ...]  # of the classes, (C,)
    counts: NDArray[np.integer]  # by true and decided class, (C, C)

    @property
    def recall(self) -> NDArray[np.floating]:
        """The share of each class that is decided rightly, (C,)."""
        return np.diag(self.counts) / np.maximum(self.counts.sum(axis=1), 1)


def read_confusion(runs: pd.DataFrame) -> tuple[dict[str, Confusion], list[str]]:
    """Sum the confusion matrices of all seeds of each condition that has them.

    Args:
        runs: The completed runs.

    Returns:
        The matrices by fingerprint, and a line for each file that cannot be read.
    """
    found: dict[str, Confusion] = {}
    problems = []
    runs = runs[may_have_file(list(runs["folder"]), CONFUSION)]
    for folder, fingerprint in zip(map(Path, runs["folder"]), runs["fingerprint"], strict=True):
        try:
            one = _read(folder / CONFUSION)
        except ArtifactError as error:
            problems.append(str(error))
            continue
        if one is None:
            continue
        before = found.setdefault(fingerprint, Confusion(one.names, np.zeros_like(one.counts)))
        if before.names == one.names:
            found[fingerprint] = Confusion(one.names, before.counts + one.counts)
        else:
            problems.append(f"{folder / CONFUSION} has other labels than the other runs of its condition")
    return found, problems


def _read(path: Path) -> Confusion | None:
    """Return the matrix of one run, or None where there is none."""
    if (text := file_text(path, _MAX_BYTES)) is None:
        return None
    try:
        cells = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False)
        table = cells.map(unescape_formula).to_numpy()
        names, counts = tuple(table[0, 1:]), table[1:, 1:].astype(int)
    except (ValueError, OverflowError, IndexError) as error:
        raise ArtifactError(f"{path} is no confusion matrix: {' '.join(str(error).split())}") from None
    if len(names) < 2 or tuple(table[1:, 0]) != names or counts.min() < 0:
        raise ArtifactError(f"{path} is no confusion matrix: expected a row and a column of counts for each label")
    return Confusion(names, counts)
