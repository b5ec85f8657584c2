"""Readers of the histories, predictions and decision regions that the figures show."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.collect import Progress, without_progress
from src.plotting.run_figures import Regions
from src.storage.many_runs import Block, blocks
from src.storage.schema import HISTORY, NO_LOSS, PREDICTIONS, REGIONS, ArtifactError, read_numbers, read_table

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
    """The test samples of one run: x (N, 2), target (N,) and pred (N,), in [0, C)."""

    x: NDArray[np.floating]
    target: NDArray[np.integer]
    pred: NDArray[np.integer]


def read_curves(runs: pd.DataFrame, progress: Progress = without_progress) -> tuple[dict[str, Curves], list[str]]:
    """Read the loss curves of runs, by fingerprint of their condition, and a line for each that cannot be read.

    A run without a loss, fitted in closed form, has no curve.
    """
    histories: dict[str, list[Curves]] = {}
    problems = []
    runs = runs[runs["loss"] != NO_LOSS]
    folders, conditions = list(runs["folder"]), list(runs["fingerprint"])
    found = list(blocks(folders, conditions, HISTORY))
    for block, _ in zip(found, progress([Path(folders[each.start]) for each in found], "histories"), strict=True):
        curves = histories.setdefault(conditions[block.start], [])
        if (together := _read_block(block)) is not None:
            curves.append(together)
            continue
        for folder in folders[block.start : block.stop]:
            try:
                curves.append(_read_history(Path(folder, HISTORY)))
            except ArtifactError as error:
                problems.append(str(error))
    return {fingerprint: _align(each) for fingerprint, each in histories.items() if each}, problems


def _read_block(block: Block) -> Curves | None:
    """Return the curves of some runs, or None to read the runs one by one, as where their epochs differ."""
    columns = block.columns(("epoch", LOSS))
    if columns is None or (block.rows != block.rows[0]).any():
        return None
    epoch, loss = (columns[name].reshape(len(block.rows), -1) for name in ("epoch", LOSS))
    alike = (epoch == epoch[0]).all() and (np.diff(epoch[0]) > 0).all()
    return Curves(epoch[0], loss.astype(float)) if alike else None


def _read_history(path: Path) -> Curves:
    """Return the curve of one run."""
    columns = read_numbers(path, ("epoch", LOSS))
    epoch, loss = columns["epoch"], columns[LOSS].astype(float)
    if not len(epoch) or not (np.diff(epoch) > 0).all():
        raise ArtifactError(f"{path}: expected rows with increasing epochs")
    return Curves(epoch, loss[None])


def _align(curves: list[Curves]) -> Curves:
    """Stack curves on the union of their epochs."""
    epochs = curves[0].epoch
    if all(np.array_equal(each.epoch, epochs) for each in curves[1:]):
        return Curves(epochs, np.concatenate([each.loss for each in curves]))
    table = pd.concat([pd.DataFrame(each.loss.T, index=each.epoch) for each in curves], axis=1).sort_index()
    return Curves(table.index.to_numpy(), table.to_numpy(dtype=float).T)


def read_predictions(run: pd.Series) -> Predictions:
    """Read the test samples of one run with two features.

    Raises:
        ArtifactError: If the file is missing or broken, or lacks the features x1 and x2.
    """
    path = Path(run["folder"]) / PREDICTIONS
    table = read_table(path, ("x1", "x2", "target", "pred"))
    x, labels = table[["x1", "x2"]], table[["target", "pred"]]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in x.dtypes):
        raise ArtifactError(f"{path}: expected numbers in the columns x1 and x2")
    known = all(pd.api.types.is_integer_dtype(kind) for kind in labels.dtypes)
    if table.empty or not known or not labels.isin(range(run["classes"])).all(axis=None):
        raise ArtifactError(f"{path}: expected target and pred to be integers in [0, C) with C = {run['classes']}")
    return Predictions(x.to_numpy(dtype=float), labels["target"].to_numpy(), labels["pred"].to_numpy())


def read_regions(run: pd.Series) -> Regions:
    """Read the decision regions of one run with two features.

    Raises:
        ArtifactError: If the file is missing or broken, or is not a full, evenly spaced grid.
    """
    path = Path(run["folder"]) / REGIONS
    table = read_table(path, ("x1", "x2", "pred", "bayes"))
    labels = table[["pred", "bayes"]]
    known = all(pd.api.types.is_integer_dtype(kind) for kind in labels.dtypes)
    if table.empty or not known or not labels.isin(range(run["classes"])).all(axis=None):
        raise ArtifactError(f"{path}: expected pred and bayes to be integers in [0, C) with C = {run['classes']}")
    if not all(pd.api.types.is_numeric_dtype(table[name]) for name in ("x1", "x2")):
        raise ArtifactError(f"{path}: expected numbers in the columns x1 and x2")
    x1, x2 = (np.unique(table[name].to_numpy(dtype=float)) for name in ("x1", "x2"))
    ordered = table.sort_values(["x2", "x1"])
    full = len(table) == len(x1) * len(x2) and min(len(x1), len(x2)) > 1
    if not full or not all(_even(each) for each in (x1, x2)) or not np.array_equal(ordered["x1"], np.tile(x1, len(x2))):
        raise ArtifactError(f"{path}: expected x1 and x2 to be a full, evenly spaced grid")
    pred, bayes = (ordered[name].to_numpy().reshape(len(x2), len(x1)) for name in labels)
    return Regions(x1, x2, pred, bayes)


def _even(values: NDArray[np.floating]) -> bool:
    """Whether values are evenly spaced, up to single precision."""
    steps = np.diff(values)
    return bool(np.isfinite(steps).all() and np.allclose(steps, steps.mean(), rtol=1e-2))
