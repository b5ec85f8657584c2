"""Paired comparisons of every loss with the baseline, corrected as one family."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.comparison_groups import name_contenders
from src.analysis.replication_unit import Unit
from src.statistics.paired import compare, holm
from src.statistics.power import noether, paired_power, seeds_needed
from src.utils.seeds import SEED_KEYS

POWERS = (80, 95)  # percent
POINTS = (1, 2, 5)
COLUMNS = (
    *("metric", "setting", "classes", "loss", "baseline", "n", "mean_loss", "mean_baseline"),
    *("difference", "low", "high", "bca_low", "bca_high", "p_t", "p_holm", "family", "different"),
    *("p_permutation", "exact", "d_z", "superiority", "superiority_low", "superiority_high", "verdict"),
    *("sd_difference", "power"),
    *(f"seeds_{power}_{size}" for size in ("seen", *POINTS) for power in POWERS),
    "noether",
)
_IN_POINTS = ("accuracy", "regret", "calibration_error")
_LOWER_IS_BETTER = ("loss", "regret", "excess_ce", "calibration_error")


@dataclass(frozen=True)
class Plan:
    """Parameters of the comparisons.

    Attributes:
        baseline: The contender that the others are compared with.
        alpha: Error rate of the intervals and of the corrected family, in (0, 0.5].
        gamma: P(A > B) above which a difference is meaningful, in (0.5, 1).
    """

    baseline: str
    alpha: float = 0.05
    gamma: float = 0.75


def scale(metric: str) -> float:
    """Return 100 for a metric that is shown in percentage points, otherwise 1."""
    return 100.0 if metric.rpartition("/")[2] in _IN_POINTS else 1.0


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of a metric are better ones."""
    return metric.rpartition("/")[2] in _LOWER_IS_BETTER


def compare_losses(runs: pd.DataFrame, metric: str, plan: Plan, unit: Unit) -> tuple[pd.DataFrame, list[str]]:
    """Compare every loss with the baseline under each setting and class count, and on the mean over class counts.

    Args:
        runs: The completed runs.
        metric: A metric that some of them have.
        plan: The baseline, alpha and gamma.
        unit: What is replicated independently.

    Returns:
        One row per comparison, and one line for each loss whose seeds differ from the baseline's. The rows with a
        number under ``classes`` are the family that ``p_holm`` is corrected for; those over several class counts, such
        as
        ``2+4``, are a separate family. ``difference`` is loss minus baseline in the units of ``scale``;
        ``superiority``, ``d_z`` and ``verdict`` are the loss's, whichever direction is better.
    """
    contenders = name_contenders(runs)
    known = runs.dropna(subset=[metric]).merge(contenders[["fingerprint", "contender", "setting"]], on="fingerprint")
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for setting, block in known.groupby("setting", sort=False):
        tables = {
            int(classes): group.pivot_table(metric, list(SEED_KEYS), "contender", sort=False) * scale(metric)
            for classes, group in block.groupby("classes")
        }
        for loss in dict.fromkeys(block["contender"]):
            if loss == plan.baseline:
                continue
            pairs = {}
            for classes, table in tables.items():
                if loss in table.columns and plan.baseline in table.columns:
                    pairs[classes] = table[[loss, plan.baseline]]
                    lines += _unpaired(pairs[classes], str(setting), classes, unit)
            for case, values in _cases(pairs):
                named = {"metric": metric, "setting": setting, "classes": case, "loss": loss}
                rows.append(named | _compare(unit.average(values), metric, plan))
    return _corrected(rows, plan), lines


def _cases(pairs: dict[int, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the paired values of each class count, then the means of the seeds that all class counts have."""
    for classes, values in pairs.items():
        yield str(classes), values
    if len(pairs) > 1:
        common = pd.concat(pairs, axis=1, join="inner").dropna()
        columns = next(iter(pairs.values())).columns
        yield "+".join(map(str, pairs)), common.T.groupby(level=1).mean().T[columns]


def _unpaired(values: pd.DataFrame, setting: str, classes: int, unit: Unit) -> Iterator[str]:
    """Yield one line for the runs of a loss or of the baseline without a partner."""
    for name, other in zip(values.columns, reversed(values.columns), strict=True):
        alone = values.index[values[name].notna() & values[other].isna()]
        if len(alone):
            where = f"{classes} classes" + (f", {setting}" if setting else "")
            yield f"{name}, {where}: {unit.names(alone)} not compared, as {other} has none"


def _compare(pair: pd.DataFrame, metric: str, plan: Plan) -> dict[str, Any]:
    """Return the comparison of two columns, the loss first, and how many seeds it would need."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    loss, baseline = (sign * pair.iloc[:, column].to_numpy() for column in (0, 1))
    with np.errstate(all="ignore"):
        found = asdict(compare(loss, baseline, alpha=plan.alpha, gamma=plan.gamma))
        sd = float(np.std(loss - baseline, ddof=1)) if len(pair) > 1 else float("nan")
    row = {"baseline": plan.baseline, "n": found.pop("n")}
    row |= {"mean_loss": sign * found.pop("mean_a"), "mean_baseline": sign * found.pop("mean_b"), **found}
    if sign < 0:
        row |= {name: -found[name] for name in ("difference",)}
        row |= {"low": -found["high"], "high": -found["low"]}
        row |= {"bca_low": -found["bca_high"], "bca_high": -found["bca_low"]}
    row |= {"sd_difference": sd, "power": paired_power(row["difference"], sd, row["n"], plan.alpha)}
    sizes = {"seen": row["difference"]} | ({str(size): float(size) for size in POINTS} if scale(metric) > 1 else {})
    for name, size in sizes.items():
        for power in POWERS:
            row[f"seeds_{power}_{name}"] = seeds_needed(size, sd, power / 100, plan.alpha)
    return row


def _corrected(rows: list[dict[str, Any]], plan: Plan) -> pd.DataFrame:
    """Return the table with Holm's p values, the size of their family, and whether differences are significant."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    single = table["classes"].astype(str).str.isdecimal().to_numpy(dtype=bool)
    adjusted: NDArray[np.floating] = np.full(len(table), np.nan)
    size = np.zeros(len(table), dtype=int)
    for family in (single, ~single):
        adjusted[family] = holm(table.loc[family, "p_t"])
        size[family] = int(table.loc[family, "p_t"].notna().sum())
    table = table.assign(p_holm=adjusted, family=size, different=adjusted <= plan.alpha)
    table["noether"] = noether(plan.gamma, plan.alpha, plan.alpha)
    return table.astype({name: "Int64" for name in COLUMNS if name.startswith("seeds_")})
