"""Summary statistics of each condition, and its median run."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from src.analysis.collapse import collapsed_runs
from src.analysis.replicate import Replicate
from src.statistics.intervals import clopper_pearson_interval, mean_interval
from src.storage.schema import COMPLETED, FAILED

ACCURACIES = ("test/accuracy", "population/accuracy")
BALANCED, MAJORITY = "test/balanced_accuracy", "test/majority_accuracy"
_UNEQUAL = 1.5  # times its share among equal classes, from which the largest class is one that accuracy rewards


def has_unequal_classes(runs: pd.DataFrame) -> bool:
    """Return whether the largest class of a table alone is so large that the accuracy says little."""
    if not {BALANCED, MAJORITY} <= set(runs.columns):
        return False
    return bool((runs[MAJORITY] > _UNEQUAL / runs["classes"]).any())


def summarize(
    runs: pd.DataFrame,
    metrics: Sequence[str] = ACCURACIES,
    confidence: float = 0.95,
    replicate: Replicate | None = None,
) -> pd.DataFrame:
    """Return one row per condition, in the order of the runs.

    Args:
        runs: One row per run, as ``Collection.runs`` has it.
        metrics: Metrics to summarise; those that no run has are left out.
        confidence: Of the intervals, in (0, 1).
        replicate: The independent replicate that the intervals are based on; single runs by default.

    Returns:
        The columns of ``runs`` that name the condition; n, the number of completed runs, and failed; of the runs that
        record it, collapsed n, and collapsed, the number of collapsed ones, with collapsed low and high, the
        Clopper-Pearson interval of their probability, where single runs are independent; for each metric
        its n, mean, sd (over n - 1), median, q1, q3, min, max, and low and high, the interval of ``mean_of``, as
        columns such as ``test/accuracy mean``; the mean regret, and the Bayes and ideal accuracy. Runs without a
        metric do not count in its row; what cannot be computed is NaN.
    """
    naming = [column for column in runs.columns[: runs.columns.get_loc("seed")] if column not in ("study", "condition")]
    known = [metric for metric in dict.fromkeys(metrics) if metric in runs.columns]
    rows = []
    for _, group in runs.groupby("fingerprint", sort=False):
        completed = group[group["status"] == COMPLETED]
        row: dict[str, Any] = {name: group[name].iloc[0] for name in naming}
        row |= {"n": len(completed), "failed": int((group["status"] == FAILED).sum())}
        row |= _collapses(completed, confidence, replicate or Replicate())
        for metric in known:
            row |= _spread(metric, completed, confidence, replicate or Replicate())
        if "population/regret" in runs.columns:
            row["population/regret mean"] = completed["population/regret"].mean()
        for name in ("bayes/accuracy", "ideal/accuracy"):
            if name in runs.columns:
                row[name] = completed[name].median()
        rows.append(row)
    return pd.DataFrame(rows)


def _collapses(runs: pd.DataFrame, confidence: float, replicate: Replicate) -> dict[str, float]:
    known = collapsed_runs(runs).dropna()
    n, count = len(known), int(known.sum())
    low, high = clopper_pearson_interval(count, n if replicate.stream is None else 0, confidence)
    return {"collapsed": count, "collapsed n": n, "collapsed low": low, "collapsed high": high}


def mean_of(runs: pd.DataFrame, metric: str, confidence: float, replicate: Replicate) -> tuple[float, float, float]:
    """Return the mean of a metric and its t interval, over runs of one condition or of several.

    The ends are NaN where a run collapsed: the t interval of a mean over two kinds of networks, one of them rare,
    contains it in as few as half of all studies.
    """
    values = replicate.means(runs, metric)
    mean, low, high = mean_interval(values, confidence, replicate.overlap_of(runs["fingerprint"].unique()))
    return (mean, math.nan, math.nan) if (collapsed_runs(runs) == 1).any() else (mean, low, high)


def _spread(metric: str, runs: pd.DataFrame, confidence: float, replicate: Replicate) -> dict[str, float]:
    values = runs[metric].dropna()
    q1, median, q3 = values.quantile([0.25, 0.5, 0.75])
    mean, low, high = mean_of(runs, metric, confidence, replicate)
    return {
        f"{metric} n": len(values),
        f"{metric} mean": mean,
        f"{metric} sd": values.std(),
        f"{metric} median": median,
        f"{metric} q1": q1,
        f"{metric} q3": q3,
        f"{metric} min": values.min(),
        f"{metric} max": values.max(),
        f"{metric} low": low,
        f"{metric} high": high,
    }


def median_run(runs: pd.DataFrame, metric: str) -> pd.Series:
    """Return the median run by a metric of one condition's completed runs.

    Of an even number it is the lower of the two middle runs; ties are ordered by seed. Where no run has the
    metric, test accuracy is used instead.

    Args:
        runs: The completed runs of one condition, at least one.
        metric: Name of the metric.
    """
    have = runs.columns.intersection([metric, "test/accuracy"])
    by = next((name for name in (metric, "test/accuracy") if name in have and runs[name].notna().any()), "seed")
    ordered = runs.dropna(subset=[by]).sort_values([by, "seed"])
    return ordered.iloc[(len(ordered) - 1) // 2]
