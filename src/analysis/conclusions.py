"""Conclusions in sentences, from what the table of comparisons has found."""

import math

import pandas as pd

from src.analysis.comparisons import LESS, MORE, NOT_SHOWN, NOT_TESTED, Plan, scale
from src.analysis.formatting import interval_text, join_words, metric_label, with_interval
from src.analysis.replicate import Replicate

_MAX_DESCRIBED = 3  # comparisons
_MAX_NAMED = 3


def answer(comparisons: pd.DataFrame, metric: str, plan: Plan, replicate: Replicate) -> list[str]:
    """Return the answer to the question of a study, in a few sentences.

    Args:
        comparisons: What ``src.analysis.comparisons.compare_losses`` returns for the metric.
        metric: The metric.
        plan: The baseline, alpha and margin of the comparisons.
        replicate: What n counts.
    """
    if comparisons.empty:
        return [
            f"No other loss has runs with the class count, setting and seed of a run of {plan.baseline}: nothing "
            f"is compared."
        ]
    if len(comparisons) <= _MAX_DESCRIBED:
        return [describe(row, plan, replicate) for _, row in comparisons.iterrows()]
    return [*_collapse_overview(comparisons, plan), *_learned_overview(comparisons, plan, replicate)]


def describe(row: pd.Series, plan: Plan, replicate: Replicate) -> str:
    """Describe one comparison: its collapses, and the difference where both learned."""
    pair = f"{row['loss']} and {row['baseline']}"
    if row["n"] == 0:
        return f"{pair} have no common {_count(1, replicate)[2:]} {where(row)}."
    opening = f"At{where(row).removeprefix('at')}"
    if row["learned_n"] == 0 and row["collapsed_n"] == 0:
        if replicate.stream is None:
            return (
                f"{opening}, it is not recorded which seeds collapsed, so that only all {_count(row['n'], replicate)} "
                f"together are compared: {overall(row)}."
            )
        return f"{opening}, there is none of the {replicate.name} in which both {pair} learned: {overall(row)}."
    return f"{opening}, {'; '.join(filter(None, [collapses(row), learned(row, plan, replicate)]))}."


def collapses(row: pd.Series) -> str:
    """Describe how often both losses of a comparison collapsed; empty where neither did or it is not compared."""
    if row["collapsed_n"] == 0 or row["collapsed_loss"] + row["collapsed_baseline"] == 0:
        return ""
    counts = sorted(("baseline", "loss"), key=lambda side: -row[f"collapsed_{side}"])
    first, second = (_collapse_count(row, side) for side in counts)
    text = f"{row[counts[0]]} collapsed on {first} of {row['collapsed_n']} seeds"
    text += f" {_percent(row, counts[0])}, {row[counts[1]]} on {second}"
    if row["collapsed_finding"] in (MORE, LESS):
        return f"{text}, and {row['loss']} collapses {row['collapsed_finding']} {_p(row, 'collapsed')}"
    tested = "" if row["collapsed_finding"] == NOT_TESTED else f" {_p(row, 'collapsed')}"
    return f"{text}, which shows no difference in how often they do{tested}"


def learned(row: pd.Series, plan: Plan, replicate: Replicate) -> str:
    """Describe the difference of a comparison where both losses learned."""
    n, pair = int(row["learned_n"]), f"{row['loss']} and {row['baseline']}"
    every = "" if n < row["n"] else "in all of "
    where = f"where both learned ({every}{_count(n, replicate)}), "
    if n == 0:
        return f"in none of {_count(int(row['n']), replicate)} both learned"
    if pd.isna(row["learned_low"]):
        if row["learned_difference"] == 0 and n > 1:
            return f"{where}{pair} do not differ at all"
        size = with_interval(row["learned_difference"], math.nan, math.nan, _unit(row))
        return f"{where}{pair} differ by {size}, without an interval"
    metric = metric_label(row["metric"])
    if row["learned_finding"] != NOT_SHOWN:
        return f"{where}{row['loss']} is {_gap(row)} in {metric} {_p(row, 'learned')}{_margin(row, plan)}"
    size = with_interval(row["learned_difference"], row["learned_low"], row["learned_high"], _unit(row))
    excluded = row["learned_low"] > 0 or row["learned_high"] < 0
    after = f" after correction {_p(row, 'learned')}" if excluded else ""
    none = f"no difference in {metric} is seen{after}"
    return f"{where}{none}: {row['loss']} - {row['baseline']} = {size}{_margin(row, plan)}"


def overall(row: pd.Series) -> str:
    """Describe the difference over all seeds."""
    share = f"P({row['loss']} better) = {superiority_text(row)}"
    return f"{share}, mean difference {with_interval(row['difference'], row['low'], row['high'], _unit(row))}"


def superiority_text(row: pd.Series) -> str:
    """Return P(better) with its interval, where it has one."""
    low, high = row["superiority_low"], row["superiority_high"]
    return f"{row['superiority']:.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]")


def _margin(row: pd.Series, plan: Plan) -> str:
    """Return whether both losses are equivalent, where a margin was given."""
    if plan.margin is None:
        return ""
    within = _within(plan.margin, row)
    if row["learned_equivalent"]:
        return f"; they are equivalent {within}"
    neither = "neither a difference nor equivalence" if row["learned_finding"] == NOT_SHOWN else "no equivalence"
    return f"; {neither} {within} is shown"


def _within(margin: float, row: pd.Series) -> str:
    return f"within {margin:g}{_unit(row).removesuffix('s') if margin == 1 else _unit(row)}"


def _collapse_overview(table: pd.DataFrame, plan: Plan) -> list[str]:
    """Return the comparisons in which one loss collapses more often as a sentence; nothing where no seed collapsed."""
    any_collapse = (table["collapsed_loss"] + table["collapsed_baseline"]) > 0
    if not any_collapse.any():
        return []
    found = table[table["collapsed_finding"].isin((MORE, LESS))]
    texts = [
        f"{row['loss']} collapses {row['collapsed_finding']} than {row['baseline']} {where(row)} "
        f"({_collapse_count(row, 'loss')} against {_collapse_count(row, 'baseline')} of {row['collapsed_n']} seeds)"
        for _, row in found.loc[found["collapsed_p"].sort_values(kind="stable").index].head(_MAX_NAMED).iterrows()
    ]
    lead = f"Seeds collapsed in {int(any_collapse.sum())} of {len(table)} comparisons with {plan.baseline}"
    if not texts:
        return [f"{lead}; in none is it shown that one loss collapses more often."]
    more = f", and {len(found) - len(texts)} more" if len(found) > len(texts) else ""
    return [f"{lead}: {join_words(texts)}{more}."]


def _learned_overview(table: pd.DataFrame, plan: Plan, replicate: Replicate) -> list[str]:
    """Return how many comparisons differ where both losses learned, the largest ones, and the widest other interval."""
    tested = table[table["learned_finding"] != NOT_TESTED]
    found, rest = (tested[(tested["learned_finding"] == NOT_SHOWN) == shown] for shown in (False, True))
    untested = f" ({len(table) - len(tested)} more could not be tested)" if len(tested) < len(table) else ""
    verb = "show" if len(found) > 1 else "shows"
    sentences = [
        f"Where both learned, {len(found) or 'none'} of {len(tested)} comparisons with {plan.baseline} {verb} a "
        f"difference at alpha = {plan.alpha:g} after Holm's correction{untested}."
    ]
    if plan.margin is not None:
        equal = int(table["learned_equivalent"].sum())
        within = _within(plan.margin, table.iloc[0])
        sentences.append(f"{equal or 'None'} of the {len(tested)} {'is' if equal < 2 else 'are'} equivalent {within}.")
    largest = found.loc[found["learned_difference"].abs().sort_values(ascending=False, kind="stable").index]
    if texts := [_short(row) for _, row in largest.head(_MAX_NAMED).iterrows()]:
        more = f", and {len(found) - len(texts)} more" if len(found) > len(texts) else ""
        sentences.append(f"{join_words(texts)}{more}.")
    known = rest[rest["learned_low"].notna()]
    if len(known):
        row = known.loc[(known["learned_high"] - known["learned_low"]).idxmax()]
        interval = interval_text(row["learned_low"], row["learned_high"])
        name = f"{row['loss']} {where(row)} on {_count(int(row['learned_n']), replicate)}"
        sentences.append(f"Where no difference is seen, the widest interval is {interval}, of {name}.")
    return sentences


def _short(row: pd.Series) -> str:
    return f"{row['loss']} is {_gap(row)} than {row['baseline']} {where(row)}"


def _gap(row: pd.Series) -> str:
    """Return by how much a loss is better or worse, with the interval, all without signs."""
    low, high = sorted((abs(row["learned_low"]), abs(row["learned_high"])))
    return with_interval(abs(row["learned_difference"]), low, high, f"{_unit(row)} {row['learned_finding']}")


def where(row: pd.Series) -> str:
    """Return the class count and the setting of a comparison, such as ``at C = 2 (optimizer.lr=0.01)``."""
    return f"at C = {row['classes']}" + (f" ({row['setting']})" if row["setting"] else "")


def _count(n: int, replicate: Replicate) -> str:
    return f"{n} {replicate.name.removesuffix('s') if n == 1 else replicate.name}"


def _collapse_count(row: pd.Series, side: str) -> str:
    return str(row[f"collapsed_{side}"]) if row[f"collapsed_{side}"] else "none"


def _percent(row: pd.Series, side: str) -> str:
    return f"[{100 * row[f'collapsed_{side}_low']:.0f}, {100 * row[f'collapsed_{side}_high']:.0f}]%"


def _p(row: pd.Series, part: str) -> str:
    """Return Holm's p value of a part."""
    value = row[f"{part}_p_holm"]
    p = "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
    return f"({p}, corrected for {row['family']} tests)" if row["family"] > 1 else f"({p})"


def _unit(row: pd.Series) -> str:
    return " points" if scale(row["metric"]) > 1 else ""
