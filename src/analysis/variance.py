"""Variance components of accuracy by condition, and the share of the finite test set."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.summary import ACCURACIES
from src.statistics.components import accuracy_variance, variance_components
from src.utils.seeds import PURPOSES

SEED, TOTAL, TEST_SET = "seed", "total", "finite test set"
_MIN_COVERAGE = 0.25  # share of the cells of a crossed design with a run
_SQUARED_POINTS = 1e4  # squared percentage points per squared accuracy


@dataclass(frozen=True)
class Design:
    """The balanced part of a crossed design.

    Attributes:
        levels: Number of seeds of each factor, such as ``data``, by its name.
        values: One number per cell, with one axis per factor.
        dropped: Seeds left out to make it balanced, such as ``data 3``.
    """

    levels: dict[str, int]
    values: NDArray[np.floating]
    dropped: tuple[str, ...] = ()


def find_design(runs: pd.DataFrame, metric: str) -> Design | None:
    """Return the crossed design of one condition, or None where its streams are not crossed.

    Streams whose seeds always vary together are one factor, such as ``data+split``. Seeds with the most
    empty cells are left out until no cell is empty.

    Args:
        runs: The completed runs of the condition.
        metric: Name of the metric.
    """
    factors = _factors(runs)
    sizes = [len(np.unique(codes)) for codes in factors.values()]
    cells = float(np.prod(sizes))
    if len(factors) < 2 or len(runs) < _MIN_COVERAGE * cells:
        return None
    values = np.full(sizes, np.nan)
    values[tuple(factors.values())] = runs[metric].to_numpy(dtype=float)
    kept = [np.arange(size) for size in sizes]
    dropped = []
    while not np.isfinite(values).all() and values.size:
        empty = [np.isnan(values).mean(axis=tuple(set(range(values.ndim)) - {axis})) for axis in range(values.ndim)]
        axis = int(np.argmax([share.max() for share in empty]))
        worst = int(empty[axis].argmax())
        name = list(factors)[axis]
        seed = runs[f"seeds.{name.partition('+')[0]}"].drop_duplicates().sort_values().iloc[kept[axis][worst]]
        dropped.append(f"{name} {seed}")
        values, kept[axis] = np.delete(values, worst, axis), np.delete(kept[axis], worst)
    if min(values.shape) < 2:
        return None
    return Design(dict(zip(factors, values.shape, strict=True)), values, tuple(dropped))


def _factors(runs: pd.DataFrame) -> dict[str, NDArray[np.integer]]:
    """Return the level of each run, from 0, for each stream that varies."""
    factors: dict[str, NDArray[np.integer]] = {}
    for stream in PURPOSES:
        codes = np.unique(runs[f"seeds.{stream}"], return_inverse=True)[1]
        alike = next((name for name, other in factors.items() if np.array_equal(codes, other)), None)
        if alike is not None:
            factors = {f"{name}+{stream}" if name == alike else name: level for name, level in factors.items()}
        elif codes.any():
            factors[stream] = codes
    return factors


def decompose(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the variance components of accuracy in squared percentage points, and one line per omission.

    Args:
        runs: The completed runs.

    Returns:
        One row per condition, metric and source, with the columns label, classes, fingerprint, metric, source, levels,
        variance and share. The sources of a crossed design are its factors and their interactions, estimated by mean
        squares, so that one may be below 0; elsewhere there is one, ``seed``. ``total`` is their sum. Of the total
        of test accuracy, ``finite test set`` is the part that population accuracy lacks.
    """
    rows, lines = [], []
    for fingerprint, group in runs.groupby("fingerprint", sort=False):
        first = group.iloc[0]
        naming = {"label": first["label"], "classes": first["classes"], "fingerprint": fingerprint}
        for metric in ACCURACIES:
            if metric not in group.columns or group[metric].count() < 2:
                continue
            design = find_design(group, metric)
            if design is not None and design.dropped:
                where = f"{first['label']}, {first['classes']} classes, {metric}"
                lines.append(f"{where}: {', '.join(design.dropped)} left out, as some of their runs are missing")
            rows += [{**naming, "metric": metric, **row} for row in _sources(group, metric, design)]
    columns = ["label", "classes", "fingerprint", "metric", "source", "levels", "variance", "share"]
    return pd.DataFrame(rows, columns=columns), lines


def _sources(group: pd.DataFrame, metric: str, design: Design | None) -> Iterator[dict[str, Any]]:
    """Yield the parts of one metric's variance."""
    if design is None:
        known = group[metric].dropna()
        total = float(known.var()) * _SQUARED_POINTS
        yield {"source": SEED, "levels": str(len(known)), "variance": total, "share": 1.0 if total > 0 else np.nan}
    else:
        components = variance_components(design.values * 100, tuple(design.levels))
        total = components.total
        for source, variance in components.estimates.items():
            factors = design.levels if source == "residual" else source.split(":")
            levels = " x ".join(str(design.levels[factor]) for factor in factors)
            yield {"source": source, "levels": levels, "variance": variance, "share": components.shares[source]}
    yield {"source": TOTAL, "levels": "", "variance": total, "share": 1.0 if total > 0 else np.nan}
    if metric == "test/accuracy" and {"population/accuracy", "test/count"} <= set(group.columns):
        parts = accuracy_variance(*(group[name] for name in (*ACCURACIES, "test/count")))
        part = parts.binomial * _SQUARED_POINTS
        if np.isfinite(part):
            share = part / total if total > 0 else np.nan
            yield {"source": TEST_SET, "levels": "", "variance": part, "share": share}


def test_set_sentence(variance: pd.DataFrame) -> str | None:
    """Return the share of the finite test set in the variance of test accuracy as a sentence, or None."""
    if TEST_SET not in set(variance["source"]):
        return None
    test = variance[variance["metric"] == "test/accuracy"].pivot_table("variance", "fingerprint", "source", sort=False)
    if not test[[TEST_SET, TOTAL]].dropna()[TOTAL].sum() > 0:
        return None
    known = test[[TEST_SET, TOTAL]].dropna()
    part = known[TEST_SET].sum() / known[TOTAL].sum()
    rest = "" if part >= 1 else "; the rest is the variance of the population accuracy of the networks"
    sentence = (
        f"Of the variance of test accuracy over runs, {min(part, 1):.0%} is sampling error of the finite test set{rest}"
    )
    shares = known.loc[known[TOTAL] > 0, TEST_SET] / known.loc[known[TOTAL] > 0, TOTAL]
    if len(known) == 1:
        return f"{sentence}."
    beyond = ", where more than 100% is estimation error" if shares.max() > 1 else ""
    return f"{sentence} ({shares.min():.0%} to {shares.max():.0%} by condition{beyond})."
