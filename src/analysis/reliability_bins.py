"""Reliability diagrams: predicted probabilities of the test samples of all seeds, in bins."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from src.analysis.collect import Progress, without_progress
from src.storage.many_runs import Block, blocks
from src.storage.schema import PREDICTIONS, ArtifactError, file_text, read_table
from src.storage.spreadsheet import unescape_formula

BINS = 10
_ROUNDING = 1e-6  # of probabilities in single precision


@dataclass(frozen=True)
class Reliability:
    """Test samples in bins of equal width by the probability of the predicted class.

    Attributes:
        count: Samples in each bin, (K,).
        confidence: Their mean probability of the predicted class, (K,); NaN in an empty bin.
        accuracy: Share of correct predictions, (K,); NaN in an empty bin.
    """

    count: NDArray[np.integer]
    confidence: NDArray[np.floating]
    accuracy: NDArray[np.floating]

    @property
    def gap(self) -> float:
        """The expected calibration error: mean |confidence - accuracy| over samples."""
        full = self.count > 0
        return float(np.average(np.abs(self.confidence - self.accuracy)[full], weights=self.count[full]))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Reliability:
    """Return samples binned by confidence.

    Args:
        confidence: Probability of the predicted class, (N,), in [0, 1].
        correct: Whether it is the true class, (N,).
        bins: Number of bins K of equal width; a value on a boundary belongs to the upper bin, and 1 to the last.

    Example:
        >>> found = reliability([0.55, 0.95, 0.97, 1.0], [1, 1, 0, 1], bins=2)
        >>> print(found.count, found.accuracy)
        [0 4] [ nan 0.75]
    """
    probability, hit = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    index = np.clip((probability * bins).astype(int), 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            count,
            np.bincount(index, weights=probability, minlength=bins) / count,
            np.bincount(index, weights=hit, minlength=bins) / count,
        )


def read_reliability(
    runs: pd.DataFrame, progress: Progress = without_progress
) -> tuple[dict[str, Reliability], list[str]]:
    """Pool the test samples of all seeds of each condition that has probabilities.

    Args:
        runs: The completed runs.
        progress: Wraps the folders that are read.

    Returns:
        The bins by fingerprint, and a line for each file that cannot be read. A condition has no probabilities where
        the first file that can be read has none.
    """
    pooled: dict[str, list[NDArray[np.floating]]] = {}
    without: set[str] = set()
    problems = []
    folders, conditions = list(runs["folder"]), list(zip(runs["fingerprint"], runs["classes"], strict=True))
    found = list(blocks(folders, conditions, PREDICTIONS))
    for block, _ in zip(found, progress([Path(folders[each.start]) for each in found], "probabilities"), strict=True):
        fingerprint, classes = conditions[block.start]
        if fingerprint in without:
            continue
        if (samples := _read_block(block, classes)) is not None:
            pooled.setdefault(fingerprint, []).append(samples)
            continue
        for folder in folders[block.start : block.stop]:
            try:
                samples = _read(Path(folder, PREDICTIONS), classes)
            except ArtifactError as error:
                problems.append(str(error))
                continue
            if samples is None:
                without.add(fingerprint)
                break
            pooled.setdefault(fingerprint, []).append(samples)
    return {name: reliability(*np.concatenate(each, axis=1)) for name, each in pooled.items()}, problems


def _read_block(block: Block, classes: int) -> NDArray[np.floating] | None:
    """Return confidence and correctness of all samples of some runs, (2, N), or None to read the runs one by one."""
    names = [f"p{label}" for label in range(classes)]
    if (columns := block.columns(("target", "pred", *names))) is None:
        return None
    target, pred = columns["target"], columns["pred"]
    if any(labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes for labels in (target, pred)):
        return None
    sure = np.choose(pred, [columns[name] for name in names]).astype(float)
    return np.stack([sure, target == pred]) if _are_probabilities(sure) else None


def _read(path: Path, classes: int) -> NDArray[np.floating] | None:
    """Return confidence and correctness, (2, N), or None where the file has no probabilities."""
    table = read_table(path, ("target", "pred"))
    names = [f"p{label}" for label in range(classes)]
    if "p0" not in table.columns and "correct" in table.columns:
        return _read_named(path, table, classes)
    if "p0" not in table.columns:
        return None
    if any(name not in table.columns or table[name].dtype.kind not in "iuf" for name in names):
        raise ArtifactError(f"{path}: expected numbers in the columns p0 to p{classes - 1}")
    target, pred = (table[name].to_numpy() for name in ("target", "pred"))
    for labels in (target, pred):
        if labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0 or labels.max() >= classes:
            raise ArtifactError(f"{path}: expected target and pred to be integers in [0, {classes})")
    sure = table[names].to_numpy(dtype=float)[np.arange(len(table)), pred]
    if not _are_probabilities(sure):
        raise ArtifactError(f"{path}: expected probabilities in [0, 1]")
    return np.stack([sure, target == pred])


def _read_named(path: Path, table: pd.DataFrame, classes: int) -> NDArray[np.floating] | None:
    """Return the same of a file whose labels have names, with probabilities in the columns p_LABEL after correct."""
    shares = table.iloc[:, table.columns.get_loc("correct") + 1 :]
    if not len(shares.columns):
        return None
    correct = table["correct"].to_numpy()
    names = shares.columns.str.startswith("p_").all() and len(shares.columns) == classes
    numbers = all(kind.kind in "iufb" for kind in [*shares.dtypes, correct.dtype])
    if not (names and numbers and np.isin(correct, (0, 1)).all()):
        raise ArtifactError(f"{path}: expected numbers in {classes} columns p_LABEL, and 0 or 1 in correct")
    text = io.StringIO(file_text(path))
    pred = pd.read_csv(text, usecols=["pred"], dtype=str, keep_default_na=False)["pred"]  # also the label NA
    column = shares.columns.get_indexer("p_" + pred.map(unescape_formula))
    if (column < 0).any():
        raise ArtifactError(f"{path}: expected pred to be a label with a column of probabilities")
    sure = shares.to_numpy(dtype=float)[np.arange(len(shares)), column]
    if not _are_probabilities(sure):
        raise ArtifactError(f"{path}: expected probabilities in [0, 1]")
    return np.stack([sure, correct])


def _are_probabilities(values: NDArray[np.floating]) -> bool:
    return bool(((values >= 0) & (values <= 1 + _ROUNDING)).all())
