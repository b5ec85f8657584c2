"""The table of w and b of the linear classifiers of a study, side by side."""

import re

import pandas as pd

from src.analysis.conclusions import decimals, number
from src.analysis.findings import Findings
from src.analysis.summary import summarize
from src.report.report_tables import Sheet

_METRIC = re.compile(r"log_odds/(\d+)/(b|w\d+)")
_NONE = "–"  # noqa: RUF001 - an en dash


def coefficient_sheet(findings: Findings) -> Sheet | None:
    """Return a row a condition and class with the b and w of its log odds, or None where no run has any.

    Args:
        findings: What the study says.
    """
    found = {name: match for name in findings.collection.metrics if (match := _METRIC.fullmatch(name))}
    if not found:
        return None
    parts = sorted({match[2] for match in found.values()}, key=lambda part: (part != "b", len(part), part))
    summary = summarize(findings.collection.completed, [*found], 1 - findings.plan.alpha, findings.unit)
    rows = []
    for label in sorted({int(match[1]) for match in found.values()}):
        for _, row in summary.iterrows():
            cells = [_cell(row, f"log_odds/{label}/{part}") for part in parts]
            if any(cell != _NONE for cell in cells):
                rows.append([str(row["label"]), str(row["classes"]), str(label), *cells])
    rows.sort(key=lambda cells: (int(cells[1]), int(cells[2])))
    level = f"{1 - findings.plan.alpha:.0%}"
    note = (
        "ln P(class | x) / P(class 0 | x) = w . x + b of the classifiers in which it is linear in the features x1, "
        f"x2, ...: mean [{level} t interval of the mean, over {findings.unit.name}] (standard deviation over runs). "
        "A generative model has them from the moments of its classes, a discriminative one from its loss."
    )
    return Sheet("coefficients", "The linear functions w . x + b", note, ["condition", "C", "class", *parts], rows)


def _cell(row: pd.Series, metric: str) -> str:
    mean = row.get(f"{metric} mean")
    if mean is None or pd.isna(mean):
        return _NONE
    sd, low, high = (row[f"{metric} {part}"] for part in ("sd", "low", "high"))
    if pd.isna(sd) or pd.isna(low):
        return number(mean, 2)
    places = decimals(low, high)
    return f"{number(mean, places)} [{number(low, places)}, {number(high, places)}] ({number(sd, places)})"
