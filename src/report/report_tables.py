"""Tables of the report as text, for HTML, Markdown and LaTeX."""

import re
from dataclasses import dataclass

import pandas as pd

from src.analysis.comparisons import NOT_SHOWN, NOT_TESTED, POINTS, POWERS, scale
from src.analysis.conclusions import superiority_text
from src.analysis.findings import Findings
from src.analysis.formatting import decimals, metric_label, number, with_interval
from src.analysis.summary import ACCURACIES, summarize
from src.analysis.table_columns import read_columns
from src.analysis.variance import SEED
from src.statistics.intervals import MIN_VALUES

_ENDS = {"population/regret mean": "regret", "bayes/accuracy": "Bayes", "ideal/accuracy": "ideal"}
_LOG_ODDS = re.compile(r"log_odds/(\d+)/(b|w\d+)")
_NONE = "–"  # noqa: RUF001 - an en dash


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes:
        name: Short and unique in a report.
        title: Heading.
        note: Sentences below the table; may be empty.
        head: Names of the columns.
        rows: The cells, as text.
        texts: Number of leading text columns; the others are numeric.
    """

    name: str
    title: str
    note: str
    head: list[str]
    rows: list[list[str]]
    texts: int = 1


def condition_table(findings: Findings) -> ReportTable:
    """Return one row per condition: number of seeds, means, intervals and standard deviations."""
    summary = findings.summary
    metrics = [name for name in dict.fromkeys([*ACCURACIES, findings.metric]) if f"{name} mean" in summary.columns]
    ends = [name for name in _ENDS if name in summary.columns]
    factors = {name: scale(name.removesuffix(" mean")) for name in ends}
    head = [
        "condition",
        "C",
        "n",
        "failed",
        "collapsed",
        *map(metric_label, metrics),
        *(metric_label(name.removesuffix(" mean")) for name in ends),
    ]
    rows = [
        [
            str(row["label"]),
            *(str(row[name]) for name in ("classes", "n", "failed")),
            collapse_count(row),
            *(_spread(row, metric) for metric in metrics),
            *(_plain(row[name] * factors[name], 1) for name in ends),
        ]
        for _, row in summary.iterrows()
    ]
    level = f"{1 - findings.plan.alpha:.0%}"
    over = f"of the mean, over {findings.replicate.name}"
    note = (
        f"A collapsed network makes one decision for every training sample; their number, with the {level} "
        f"Clopper-Pearson interval of the probability. Mean [{level} {findings.replicate.interval} "
        f"{over}] (standard deviation over runs); where seeds collapse, a mean describes neither these nor the others, "
        "and a t interval would contain it too rarely, so that there is none. "
        "Accuracies and regret in points."
    )
    if "ideal/accuracy" in ends:
        note += (
            " Ideal is the accuracy of the decision rule of a loss at the minimiser of its expected loss "
            "(dash-dotted): "
            "its distance to Bayes is the cost of the rule, the distance below it is the cost of training."
        )
    return ReportTable("conditions", "Conditions", note, head, rows)


def collapse_count(row: pd.Series) -> str:
    """Return the number of collapsed runs of a condition with its interval, such as ``3 of 20 [3, 38]%``."""
    if not row["collapsed n"]:
        return "not recorded"
    count = f"{row['collapsed']} of {row['collapsed n']}"
    if pd.isna(row["collapsed low"]):
        return count
    return f"{count} [{100 * row['collapsed low']:.0f}, {100 * row['collapsed high']:.0f}]%"


def _spread(row: pd.Series, metric: str) -> str:
    mean, sd, low, high = (row[f"{metric} {part}"] * scale(metric) for part in ("mean", "sd", "low", "high"))
    places = decimals(low, high)
    return f"{_interval(mean, low, high)} ({number(sd, places)})" if pd.notna(sd) else _plain(mean, 1)


def comparison_table(findings: Findings) -> ReportTable:
    """Return one row per comparison: how often both losses collapse, and how they differ where both learned."""
    table, plan = findings.comparisons, findings.plan
    level, margin = f"{1 - plan.alpha:.0%}", plan.margin
    unit = " (points)" if scale(findings.metric) > 1 else ""
    head = [
        "loss",
        "C",
        "collapsed",
        f"{plan.baseline} collapsed",
        "difference (points)",
        "p",
        "p (Holm)",
        "more often",
    ]
    head += ["both learned", f"difference{unit}", "Hodges-Lehmann", "p", "p (Holm)", "better"]
    head += [] if margin is None else [f"p (within {margin:g})", "equivalent"]
    rows = [
        [
            _name(row),
            str(row["classes"]),
            *(_share_of(row, side) for side in ("loss", "baseline")),
            _interval(*(row[f"collapsed_{end}"] for end in ("difference", "low", "high")))
            + _star(row["collapsed_finding"]),
            *(_p(row[name]) for name in ("collapsed_p", "collapsed_p_holm")),
            row["collapsed_finding"],
            f"{row['learned_n']} of {row['n']}",
            _interval(*(row[f"learned_{end}"] for end in ("difference", "low", "high")))
            + _star(row["learned_finding"]),
            _plain(row["learned_hodges_lehmann"], decimals(row["learned_low"], row["learned_high"])),
            *(_p(row[name]) for name in ("learned_p", "learned_p_holm")),
            row["learned_finding"],
            *(
                []
                if margin is None
                else [_p(row["learned_p_margin_holm"]), "yes" if row["learned_equivalent"] else "no"]
            ),
        ]
        for _, row in table.iterrows()
    ]
    collapses, learned = (
        (
            "an e-value by a mixture of sign tests, and the betting confidence sequence",
            "t confidence sequence and e-value",
        )
        if plan.anytime
        else (
            "McNemar's exact test, and Tango's interval",
            f"paired {findings.replicate.interval} and test, extended for skewness (Hall 1992)",
        )
    )
    p = " Each p is 1/e, and holds however the study grew." if plan.anytime else ""
    note = (
        f"Loss minus baseline ({plan.baseline}), paired by seed; intervals are {level}. Collapses: {collapses} of the "
        f"difference of both shares. Where both learned: the mean difference with its {learned}, and the "
        f"Hodges-Lehmann estimate, which outliers do not move. That part is conditional on "
        f"both having learned: it describes the networks that one would keep, not the whole effect of the choice. "
        f"The family has {table['family'].max()} tests: those of both parts in all comparisons of the study.{p} A star "
        f"marks what is significant at alpha = {plan.alpha:g} after Holm's correction; the intervals are not corrected."
    )
    return ReportTable(
        "comparisons", f"{metric_label(findings.metric).capitalize()} against {plan.baseline}", note, head, rows
    )


def overall_table(findings: Findings) -> ReportTable:
    """Return one row per comparison over all seeds, collapsed or not."""
    seeds = findings.replicate.name
    plan = findings.plan
    level = f"{1 - plan.alpha:.0%}"
    unit = " (points)" if scale(findings.metric) > 1 else ""
    head = ["loss", "C", "n", "P(better)", f"interquartile mean{unit}", f"mean difference{unit}"]
    head += ["e-value"] if plan.anytime else []
    head += [] if plan.margin is None else ["equivalent"]
    rows = [
        [
            _name(row),
            str(row["classes"]),
            str(row["n"]),
            _probability(row),
            *(
                _interval(*(row[name] for name in names))
                for names in (("iqm", "iqm_low", "iqm_high"), ("difference", "low", "high"))
            ),
            *([_plain(row["e_value"], 2)] if plan.anytime else []),
            *([] if plan.margin is None else ["yes" if row["equivalent"] else "no"]),
        ]
        for _, row in findings.comparisons.iterrows()
    ]
    kind = (
        "a confidence sequence, which holds at every n at once, however the study grew"
        if plan.anytime
        else "which holds for this n if it was fixed before"
    )
    note = (
        f"Loss minus baseline ({plan.baseline}), paired by seed, collapsed or not; none of it is tested. All intervals "
        f"are {level}. P(better) is the probability that the loss is better for one of the {seeds}, ties "
        f"counting one half, with its Wilson interval. The interquartile mean is that of the middle half of the "
        f"differences, with its percentile bootstrap interval, which is left out below "
        f"{MIN_VALUES['interquartile mean']} {seeds}, and that of P(better) below {MIN_VALUES['P(better)']}, as they "
        f"cover less than 93.5% there. The mean difference has a betting interval (Waudby-Smith "
        f"and Ramdas 2024), {kind}, and for any distribution of the differences, which makes it wide."
    )
    return ReportTable("overall", f"{metric_label(findings.metric).capitalize()} over all seeds", note, head, rows)


def _star(finding: str) -> str:
    return "" if finding in (NOT_SHOWN, NOT_TESTED) else " *"


def _share_of(row: pd.Series, side: str) -> str:
    """Return how many of the seeds of one side collapsed."""
    return f"{row[f'collapsed_{side}']} of {row['collapsed_n']}" if row["collapsed_n"] else _NONE


def seeds_table(findings: Findings) -> ReportTable:
    """Return the number of seeds that each comparison on the metric needs."""
    seeds = findings.replicate.name
    keys = [f"seeds_{power}_{size}" for size in POINTS for power in POWERS]
    head = ["loss", "C", "both learned", "standard deviation"]
    head += [f"{size} point{'s' * (size > 1)} ({power}%)" for size in POINTS for power in POWERS]
    rows = [
        [
            _name(row),
            str(row["classes"]),
            str(row["learned_n"]),
            _plain(row["learned_sd"], 2),
            *(_NONE if pd.isna(row[key]) else f"{row[key]:,}" for key in keys),
        ]
        for _, row in findings.comparisons.iterrows()
    ]
    note = (
        f"The number of {seeds} in which both learn for which the uncorrected paired t test at alpha = "
        f"{findings.plan.alpha:g} detects a difference of some points with a power of 80 or 95%, from the standard "
        f"deviation of the differences."
    )
    return ReportTable("seeds", "How many seeds?", note, head, rows)


def variance_table(findings: Findings) -> ReportTable:
    """Return the variance components of each condition."""
    rows = [
        [
            str(row["label"]),
            str(row["classes"]),
            metric_label(row["metric"]),
            row["source"].replace(":", " x "),
            row["levels"],
            _plain(row["variance"], 2),
            _NONE if pd.isna(row["share"]) else f"{row['share']:.0%}",
        ]
        for _, row in findings.variance[findings.variance["source"] != SEED].iterrows()
    ]
    note = (
        "In squared percentage points. Components of a crossed design are unbiased mean-square estimates, which can "
        "be below 0; their share is then 0. In the total of test accuracy, the finite test set is the binomial part, "
        "which population accuracy lacks."
    )
    head = ["condition", "C", "metric", "source", "levels", "variance", "share"]
    return ReportTable("variance", "Sources of variance", note, head, rows, texts=4)


def settings_table(findings: Findings) -> ReportTable:
    """Return the settings in which the conditions differ."""
    runs = findings.collection.runs
    conditions = runs.drop_duplicates("fingerprint")
    columns = [
        name for name in runs.columns[: runs.columns.get_loc("seed")] if name not in ("label", "condition", "study")
    ]
    columns = [name for name in columns if name != "fingerprint" and conditions[name].nunique(dropna=False) > 1]
    rows = [
        [*(_NONE if pd.isna(row[name]) else f"{row[name]}" for name in columns), str(row["fingerprint"])]
        for _, row in conditions.iterrows()
    ]
    note = "All other settings are equal." if len(rows) > 1 else "There is one condition."
    return ReportTable(
        "settings", "Settings that differ", note, [*columns, "fingerprint"], rows, texts=len(columns) + 1
    )


def coefficient_table(findings: Findings) -> ReportTable | None:
    """Return one row per condition and class with the b and w of its log odds, or None if no run has any.

    Args:
        findings: The findings of the study.
    """
    found = {name: match for name in findings.collection.metrics if (match := _LOG_ODDS.fullmatch(name))}
    if not found:
        return None
    parts = sorted({match[2] for match in found.values()}, key=lambda part: (part != "b", len(part), part))
    summary = summarize(findings.collection.completed, [*found], 1 - findings.plan.alpha, findings.replicate)
    seeds = findings.replicate.name
    rows = []
    for label in sorted({int(match[1]) for match in found.values()}):
        for _, row in summary.iterrows():
            cells = [_coefficient(row, f"log_odds/{label}/{part}") for part in parts]
            if any(cell != _NONE for cell in cells):
                rows.append([str(row["label"]), str(row["classes"]), str(label), *cells])
    rows.sort(key=lambda cells: (int(cells[1]), int(cells[2])))
    level = f"{1 - findings.plan.alpha:.0%}"
    note = (
        "ln P(class | x) / P(class 0 | x) = w . x + b of the classifiers with linear log odds in the features x1, "
        f"x2, ...: mean [{level} {findings.replicate.interval} of the mean, over {seeds}] (standard deviation over "
        "runs). "
        "A generative model derives them from the moments of its classes, a discriminative one from its loss."
    )
    return ReportTable(
        "coefficients", "The linear functions w . x + b", note, ["condition", "C", "class", *parts], rows
    )


def _coefficient(row: pd.Series, metric: str) -> str:
    mean = row.get(f"{metric} mean")
    if mean is None or pd.isna(mean):
        return _NONE
    sd, low, high = (row[f"{metric} {part}"] for part in ("sd", "low", "high"))
    if pd.isna(sd) or pd.isna(low):
        return number(mean, 2)
    return f"{with_interval(mean, low, high)} ({number(sd, decimals(low, high))})"


def columns_table(findings: Findings) -> ReportTable | None:
    """Return one row per column of the tables that the runs were trained on, or None where there are none."""
    found = read_columns(findings.collection.completed)
    if found.empty:
        return None
    note = "How training took each column. A category has one input per category of the training samples."
    return ReportTable("columns", "Columns of the data", note, list(found.columns), found.to_numpy().tolist(), texts=4)


def all_tables(findings: Findings) -> list[ReportTable]:
    """Return the tables of the report, except the settings."""
    found = [condition_table(findings)]
    if len(findings.comparisons):
        found += [comparison_table(findings), overall_table(findings)]
        if scale(findings.metric) > 1:
            found.append(seeds_table(findings))
    if len(findings.variance):
        found.append(variance_table(findings))
    columns = columns_table(findings)
    return found if columns is None else [*found, columns]


def _name(row: pd.Series) -> str:
    return ", ".join(filter(None, [row["loss"], row["setting"]]))


def _interval(value: float, low: float, high: float) -> str:
    return with_interval(value, low, high) if pd.notna(low) else _plain(value, 1)


def _probability(row: pd.Series) -> str:
    if pd.isna(row["superiority"]):
        return _NONE
    return superiority_text(row)


def _p(value: float) -> str:
    if pd.isna(value):
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _plain(value: float, places: int) -> str:
    return _NONE if pd.isna(value) else number(value, places)
