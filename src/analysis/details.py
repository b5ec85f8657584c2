"""What the figures need beyond ``results.json``: the curves of all seeds, the test points of one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.collect import Progress
from src.artifacts import HISTORY, PREDICTIONS, ArtifactError, read_table

LOSS = "train/loss"


@dataclass(frozen=True)
class Curves:
    """The training loss of the seeds of one condition.

    Attributes:
        epoch: Epochs that any seed has, (E,), increasing.
        loss: Loss of each seed at each epoch, (S, E); NaN where a seed has none.
    """

    epoch: NDArray[np.integer]
    loss: NDArray[np.floating]


@dataclass(frozen=True)
class Predictions:
    """The test points of one run: x (N, 2), target (N,) and pred (N,), in [0, C)."""

    x: NDArray[np.floating]
    target: NDArray[np.integer]
    pred: NDArray[np.integer]


def read_curves(runs: pd.DataFrame, progress: Progress) -> tuple[dict[str, Curves], list[str]]:
    """Read the loss curves of runs, by fingerprint of their condition, and a line for each that cannot be read."""
    histories: dict[str, list[pd.Series]] = {}
    problems = []
    folders = [Path(folder) for folder in runs["folder"]]
    for folder, fingerprint in zip(progress(folders, "histories"), runs["fingerprint"], strict=True):
        try:
            histories.setdefault(fingerprint, []).append(_read_history(folder / HISTORY))
        except ArtifactError as error:
            problems.append(str(error))
    return {fingerprint: _align(series) for fingerprint, series in histories.items() if series}, problems


def _read_history(path: Path) -> pd.Series:
    """Return the loss by epoch."""
    table = read_table(path, ("epoch", LOSS))
    for column in ("epoch", LOSS):
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise ArtifactError(f"{path}: expected the column {column} to hold numbers")
    if table.empty or not table["epoch"].is_monotonic_increasing or not table["epoch"].is_unique:
        raise ArtifactError(f"{path}: expected rows with increasing epochs")
    return table.set_index("epoch")[LOSS]


def _align(histories: list[pd.Series]) -> Curves:
    """Stack curves on the union of their epochs."""
    epochs = histories[0].index.to_numpy()
    if all(np.array_equal(series.index, epochs) for series in histories[1:]):
        return Curves(epochs, np.stack([series.to_numpy(dtype=float) for series in histories]))
    table = pd.concat(histories, axis=1).sort_index()
    return Curves(table.index.to_numpy(), table.to_numpy(dtype=float).T)


def read_predictions(run: pd.Series) -> Predictions:
    """Read the test points of one run of two features.

    Raises:
        ArtifactError: If the file is missing or broken, or has not the features x1 and x2.
    """
    path = Path(run["folder"]) / PREDICTIONS
    table = read_table(path, ("x1", "x2", "target", "pred"))
    x, labels = table[["x1", "x2"]], table[["target", "pred"]]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in x.dtypes):
        raise ArtifactError(f"{path}: expected the columns x1 and x2 to hold numbers")
    known = all(pd.api.types.is_integer_dtype(kind) for kind in labels.dtypes)
    if table.empty or not known or not labels.isin(range(run["classes"])).all(axis=None):
        raise ArtifactError(f"{path}: expected target and pred to be whole numbers below {run['classes']}")
    return Predictions(x.to_numpy(dtype=float), labels["target"].to_numpy(), labels["pred"].to_numpy())
