"""Paired comparisons of every loss with the baseline in three parts, corrected as one family.

The parts are fixed before the results are seen: (a) does one of both collapse more often; (b) how do they differ where
both learned; (c) how do they differ over all seeds. The tests of (a) and (b) of all comparisons are one family. What is
found is decided here, once: sentences, tables, figures and LaTeX read the columns ``collapsed_finding``,
``learned_finding``, ``learned_equivalent`` and ``equivalent``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.collapse import collapsed_runs
from src.analysis.comparison_groups import name_methods
from src.analysis.replicate import Replicate
from src.statistics.paired import compare_all, compare_collapse, compare_learned, holm
from src.statistics.power import seeds_needed
from src.utils.seeds import SEED_KEYS

POWERS = (80, 95)  # percent
POINTS = (1, 2, 5)
MORE, LESS, BETTER, WORSE = "more often", "less often", "better", "worse"
NOT_SHOWN, NOT_TESTED = "not shown", "not tested"
COLUMNS = (
    *("metric", "setting", "classes", "loss", "baseline", "family"),
    *("collapsed_n", "collapsed_loss", "collapsed_loss_low", "collapsed_loss_high"),
    *("collapsed_baseline", "collapsed_baseline_low", "collapsed_baseline_high"),
    *("collapsed_difference", "collapsed_low", "collapsed_high", "collapsed_p", "collapsed_p_holm"),
    "collapsed_finding",
    *("learned_n", "learned_mean_loss", "learned_mean_baseline", "learned_difference", "learned_low", "learned_high"),
    *("learned_hodges_lehmann", "learned_sd", "learned_p_skewness"),
    *("learned_p", "learned_p_holm", "learned_finding"),
    *("learned_p_margin", "learned_p_margin_holm", "learned_equivalent"),
    *("n", "mean_loss", "mean_baseline", "difference", "low", "high", "e_value", "equivalent"),
    *("iqm", "iqm_low", "iqm_high", "superiority", "superiority_low", "superiority_high"),
    *(f"seeds_{power}_{size}" for size in POINTS for power in POWERS),
)
_TESTS = ("collapsed_p", "learned_p", "learned_p_margin")
_IN_POINTS = ("accuracy", "balanced_accuracy", "majority_accuracy", "regret", "calibration_error")
_SCORES = [f"{score}{part}" for score in ("log_loss", "brier") for part in ("", "_calibration", "_refinement")]
_LOWER_IS_BETTER = ("loss", "regret", "excess_ce", "calibration_error", *_SCORES)


@dataclass(frozen=True)
class Plan:
    """Parameters of the comparisons.

    Attributes:
        baseline: The method that the others are compared with.
        alpha: Error rate of the intervals and of the corrected family, in (0, 0.5].
        margin: Differences below it do not matter, in the units of ``scale``; None to test no equivalence.
        anytime: Whether tests and intervals hold however the study grew.
    """

    baseline: str
    alpha: float = 0.05
    margin: float | None = None
    anytime: bool = False


def scale(metric: str) -> float:
    """Return 100 for a metric that is shown in percentage points, otherwise 1."""
    return 100.0 if metric.rpartition("/")[2] in _IN_POINTS else 1.0


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of a metric are better ones."""
    return metric.rpartition("/")[2] in _LOWER_IS_BETTER


def compare_losses(runs: pd.DataFrame, metric: str, plan: Plan, replicate: Replicate) -> tuple[pd.DataFrame, list[str]]:
    """Compare every loss with the baseline under each setting and class count.

    Args:
        runs: The completed runs.
        metric: A metric that some of them have.
        plan: The baseline, alpha and margin.
        replicate: What is replicated independently.

    Returns:
        One row per comparison, with the columns ``COLUMNS``, and one line for each loss whose seeds differ from the
        baseline's. Differences are loss minus baseline in the units of ``scale``, those of collapses in percentage
        points; ``superiority`` and the findings are the loss's, whichever direction is better.
    """
    methods = name_methods(runs)
    known = runs.assign(collapsed=collapsed_runs(runs)).dropna(subset=[metric])
    known = known.merge(methods[["fingerprint", "method", "setting"]], on="fingerprint")
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for (setting, classes), block in known.groupby(["setting", "classes"], sort=False):
        by_method = block.pivot(index=list(SEED_KEYS), columns="method", values=[metric, "collapsed"])
        values, collapsed = by_method[metric] * scale(metric), by_method["collapsed"]
        fingerprints = dict(zip(block["method"], block["fingerprint"], strict=True))
        if plan.baseline not in values.columns:
            continue
        for loss in values.columns.drop(plan.baseline):
            pair = [loss, plan.baseline]
            a_and_b = values[pair].to_numpy()
            lines += _unpaired(a_and_b, values.index, pair, f"{classes} classes{setting and f', {setting}'}", replicate)
            named = {"metric": metric, "setting": setting, "classes": int(classes), "loss": loss}
            rows.append(
                named
                | _compare(
                    a_and_b,
                    collapsed[pair].to_numpy(),
                    values.index,
                    plan,
                    replicate,
                    metric,
                    replicate.overlap_of(fingerprints[name] for name in pair),
                )
            )
    order = {loss: rank for rank, loss in enumerate(dict.fromkeys(known["method"]))}
    settings = {setting: rank for rank, setting in enumerate(dict.fromkeys(known["setting"]))}
    rows.sort(key=lambda row: (settings[row["setting"]], order[row["loss"]], row["classes"]))
    return _decided(pd.DataFrame(rows, columns=list(COLUMNS)), plan), lines


def _unpaired(
    values: NDArray[np.floating], index: pd.MultiIndex, names: Sequence[str], where: str, replicate: Replicate
) -> Iterator[str]:
    """Yield one line for the runs of a loss or of the baseline without a partner, from values (n, 2)."""
    missing = np.isnan(values)
    for side, other in ((0, 1), (1, 0)):
        alone = ~missing[:, side] & missing[:, other]
        if alone.any():
            runs = replicate.names(index[alone])
            yield f"{names[side]}, {where}: {runs} not compared, as {names[other]} has none"


def _compare(
    values: NDArray[np.floating],
    collapsed: NDArray[np.floating],
    index: pd.MultiIndex,
    plan: Plan,
    replicate: Replicate,
    metric: str,
    overlap: float,
) -> dict[str, Any]:
    """Return the parts of one comparison, from values and collapses (n, 2) with the loss in the first column."""
    paired = ~np.isnan(values).any(axis=1)
    learned = paired & (collapsed == 0).all(axis=1)
    sign = -1.0 if lower_is_better(metric) else 1.0
    (all_a, all_b), (learned_a, learned_b) = (
        replicate.average(values[rows], index[rows]).T for rows in (paired, learned)
    )
    # Runs of a crossed design are not independent, so their collapses are counted alone.
    collapsed_a, collapsed_b = collapsed[paired].T if replicate.stream is None else np.empty((2, 0))
    bound = scale(metric) if scale(metric) > 1 else None
    parts = {
        "collapsed": asdict(compare_collapse(collapsed_a, collapsed_b, alpha=plan.alpha, anytime=plan.anytime)),
        "learned": asdict(
            compare_learned(
                learned_a, learned_b, alpha=plan.alpha, margin=plan.margin, anytime=plan.anytime, overlap=overlap
            )
        ),
        "": asdict(compare_all(sign * all_a, sign * all_b, alpha=plan.alpha, bound=bound, anytime=plan.anytime)),
    }
    if sign < 0:
        parts[""] |= _mirrored(parts[""])
    row: dict[str, Any] = {"baseline": plan.baseline}
    for part, found in parts.items():
        row |= {_column(part, name): value for name, value in found.items()}
    row |= {name: 100 * row[name] for name in ("collapsed_difference", "collapsed_low", "collapsed_high")}
    row["equivalent"] = plan.margin is not None and bool(
        -plan.margin < row["within_low"] and row["within_high"] < plan.margin
    )
    for size in POINTS if scale(metric) > 1 else ():
        for power in POWERS:
            row[f"seeds_{power}_{size}"] = seeds_needed(float(size), row["learned_sd"], power / 100, plan.alpha)
    return row


def _mirrored(found: Mapping[str, Any]) -> dict[str, float]:
    """Return means and differences with the sign of the metric, of which smaller values are better."""
    ends = {("low", "high"), ("iqm_low", "iqm_high"), ("within_low", "within_high")}
    swapped = {name: -found[name] for name in ("mean_a", "mean_b", "difference", "iqm")}
    for low, high in ends:
        swapped |= {low: -found[high], high: -found[low]}
    return swapped


def _column(part: str, name: str) -> str:
    """Return the column of a number, such as ``collapsed_loss_low`` for ``a_low`` of the collapses."""
    for side, who in (("a", "loss"), ("b", "baseline")):
        words = [who if word == side else word for word in name.split("_")]
        name = "_".join(words)
    return f"{part}_{name}".removeprefix("_")


def _decided(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the table with Holm's p values over all its tests, the size of the family, and what is found."""
    adjusted = holm(table[list(_TESTS)].to_numpy(dtype=float).ravel()).reshape(-1, len(_TESTS))
    for index, name in enumerate(_TESTS):
        table[f"{name}_holm"] = adjusted[:, index]
    table["family"] = int(np.isfinite(adjusted).sum())
    table["learned_equivalent"] = table["learned_p_margin_holm"] <= plan.alpha
    better = [-1.0 if lower_is_better(metric) else 1.0 for metric in table["metric"]]
    for part, sign, (above, below) in (
        ("collapsed", 1.0, (MORE, LESS)),
        ("learned", np.array(better), (BETTER, WORSE)),
    ):
        p, difference = table[f"{part}_p_holm"], table[f"{part}_difference"].to_numpy(dtype=float) * sign
        found = np.where(p <= plan.alpha, np.where(difference > 0, above, below), NOT_SHOWN)
        table[f"{part}_finding"] = np.where(p.isna(), NOT_TESTED, found)
    for name in (name for name in COLUMNS if name.startswith("seeds_")):
        table[name] = table[name].astype("Int64")
    return table
