"""LaTeX tables with booktabs."""

import re

import pandas as pd

from src.analysis.comparisons import lower_is_better, scale
from src.analysis.findings import Findings
from src.analysis.formatting import metric_label, with_interval
from src.report.report_tables import comparison_table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_PATTERN = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")
_COLUMNS = (0, 1, 2, 3, 4, 6, 8, 9, 12)  # of the table of comparisons


def escape(text: str) -> str:
    r"""Return text that LaTeX typesets as it is.

    Example:
        >>> print(escape("50% of a_b & {c}"))
        50\% of a\_b \& \{c\}
    """
    plain = "".join(character if character.isprintable() else " " for character in text)
    return _PATTERN.sub(lambda found: _SPECIAL[found.group()], plain).replace("\u2013", "--")


def latex_tables(findings: Findings) -> str:
    """Return a table of the metric by condition, and one of the comparisons with the baseline.

    In the first, for each class count and setting, the best mean and every mean inside its interval are bold.
    """
    tables = [_accuracy_table(findings), *([_comparison_table(findings)] if len(findings.comparisons) else [])]
    return "\n".join(["% Needs \\usepackage{booktabs}.", *tables])


def winners(summary: pd.DataFrame, metric: str) -> pd.Series:
    """Return which rows of one class count and setting are the best or inside its interval.

    Args:
        summary: One row per loss, with the columns ``<metric> mean``, ``<metric> low`` and ``<metric> high``.
        metric: The metric.

    Returns:
        True for each such row; only for the best where it has no interval.
    """
    mean = summary[f"{metric} mean"]
    if mean.notna().sum() == 0:
        return mean.notna()
    best = mean.idxmin() if lower_is_better(metric) else mean.idxmax()
    low, high = summary.loc[best, f"{metric} low"], summary.loc[best, f"{metric} high"]
    return mean.between(low, high) | (mean.index == best)


def _accuracy_table(findings: Findings) -> str:
    metric = findings.metric
    summary = findings.summary.merge(findings.methods[["fingerprint", "method", "setting"]], on="fingerprint")
    bold = pd.Series(False, index=summary.index)
    for _, block in summary.groupby(["classes", "setting"]):
        bold.loc[block.index] = winners(block, metric)
    summary["loss"] = (summary["method"] + ", " + summary["setting"]).str.removesuffix(", ").map(escape)
    summary["cell"] = [_cell(row, metric, bold[index]) for index, row in summary.iterrows()]
    cells = summary.pivot(index="loss", columns="classes", values="cell").reindex(summary["loss"].unique()).fillna("--")
    cells.columns = [f"$C = {count}$" for count in cells.columns]
    unit = " in points" if scale(metric) > 1 else ""
    caption = (
        f"Mean {metric_label(metric)}{unit} with its {1 - findings.plan.alpha:.0%} {findings.replicate.interval}, over "
        f"{findings.replicate.name}. Bold: the best mean at each class count, and every mean inside its interval."
    )
    return _table(cells.reset_index(), caption, "losses")


def _cell(row: pd.Series, metric: str, bold: bool) -> str:
    mean, low, high = (row[f"{metric} {part}"] * scale(metric) for part in ("mean", "low", "high"))
    if pd.isna(mean):
        return "--"
    text, bracket, interval = with_interval(mean, low, high).partition(" [")
    return (f"\\textbf{{{text}}}" if bold else text) + bracket + interval


def _comparison_table(findings: Findings) -> str:
    table = comparison_table(findings)
    kind = "confidence sequence" if findings.plan.anytime else "interval"
    caption = (
        f"{metric_label(findings.metric).capitalize()}: loss minus baseline ({findings.plan.baseline}), paired, with "
        f"{1 - findings.plan.alpha:.0%} {kind}s: the share of collapsed seeds, and the metric where both learned. "
        f"Holm's p values correct for {findings.comparisons['family'].max()} tests; a star marks a difference at "
        f"alpha = {findings.plan.alpha:g}."
    )
    cells = pd.DataFrame(table.rows, columns=table.head).iloc[:, list(_COLUMNS)].map(escape).rename(columns=escape)
    return _table(cells, caption, "comparisons")


def _table(cells: pd.DataFrame, caption: str, label: str) -> str:
    """Return a table whose cells and column names are LaTeX already."""
    columns = "l" + "r" * (cells.shape[1] - 1)
    look = {"column_format": columns, "position_float": "centering", "hrules": True}
    return cells.style.hide(axis="index").to_latex(caption=escape(caption), label=f"tab:{label}", **look)
