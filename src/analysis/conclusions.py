"""Conclusions in sentences, from the corrected tests and the intervals."""

import math
from collections.abc import Sequence

import pandas as pd

from src.analysis.comparisons import Plan, scale
from src.analysis.replication_unit import Unit
from src.statistics.paired import BETTER, NOT_MEANINGFUL, WORSE

_MAX_SENTENCES = 3  # comparisons described one by one
_MAX_NAMED = 3


def spoken(metric: str) -> str:
    """Return a metric's name in words.

    Example:
        >>> spoken("population/accuracy"), spoken("population/regret")
        ('population accuracy', 'regret')
    """
    return metric.removeprefix("population/" if metric.endswith("/regret") else "").replace("/", " ").replace("_", " ")


def answer(comparisons: pd.DataFrame, metric: str, plan: Plan, unit: Unit) -> list[str]:
    """Return the answer to the question of a study, in about three sentences.

    Args:
        comparisons: What ``src.analysis.comparisons.compare_losses`` returns for the metric.
        metric: The metric.
        plan: The baseline, alpha and gamma of the comparisons.
        unit: What n counts.
    """
    if comparisons.empty:
        return [
            f"No other loss has runs with the class count, setting and seed of a run of {plan.baseline}: nothing "
            f"is compared."
        ]
    family = comparisons[comparisons["classes"].str.isdecimal()]
    contrasts = comparisons[~comparisons["classes"].str.isdecimal()]
    on = f"On {spoken(metric)}, "
    if len(family) <= _MAX_SENTENCES:
        sentences = [f"{describe(row, unit)}." for _, row in family.iterrows()]
        sentences += [f"{describe(row, unit)}." for _, row in contrasts.iterrows() if len(contrasts) == 1]
        return [on + sentences[0], *sentences[1:]]
    return [on + _overview(family, plan), *_largest(family), *_the_rest(family, unit), *_largest(contrasts)]


def describe(row: pd.Series, unit: Unit) -> str:
    """Describe one comparison: a difference only where the corrected test is significant."""
    loss, baseline, n = row["loss"], row["baseline"], int(row["n"])
    pair, where, seeds = f"{loss} and {baseline}", _where(row), _count(n, unit)
    if n == 0:
        return f"{pair} have no common {_count(1, unit)[2:]} {where}"
    if n == 1:
        return f"{pair} differ by {_size(row, row['difference'])} {where} in their one common seed: no interval"
    if pd.isna(row["low"]):
        same = row["difference"] == 0
        by = "do not differ" if same else f"differ by {_size(row, row['difference'])}"
        return f"{pair} {by} {where} in any of {seeds}" if same else f"{pair} {by} {where} in each of {seeds}"
    if row["different"]:
        side, low, high = ("above", row["low"], row["high"])
        if row["difference"] < 0:
            side, low, high = ("below", -row["high"], -row["low"])
        size = f"{_size(row, abs(row['difference']))} {_interval(row, low, high)}"
        return f"{loss} is {size} {side} {baseline} {where}: a difference at {seeds}{_corrected(row)}, {_reading(row)}"
    size = f"{_size(row, row['difference'])} {_interval(row, row['low'], row['high'])}"
    excluded = row["low"] > 0 or row["high"] < 0
    corrected = _corrected(row) if excluded else ""
    return f"{pair} differ by {size} {where}: no evidence of a difference at {seeds}{corrected}{_needed(row)}"


def _overview(family: pd.DataFrame, plan: Plan) -> str:
    """Return the number of significant comparisons as a sentence."""
    found, tested = int(family["different"].sum()), int(family["p_t"].notna().sum())
    untested = f" ({len(family) - tested} more could not be tested)" if tested < len(family) else ""
    verb = "show" if found > 1 else "shows"
    return (
        f"{found or 'none'} of {tested} comparisons with {plan.baseline} {verb} a difference at alpha = {plan.alpha:g} "
        f"after Holm's correction{untested}."
    )


def _largest(family: pd.DataFrame) -> list[str]:
    """Return the largest significant differences as a sentence."""
    significant = family[family["different"]]
    largest = significant.loc[significant["difference"].abs().sort_values(ascending=False).index].head(_MAX_NAMED)
    if largest.empty:
        return []
    texts = []
    for _, row in largest.iterrows():
        side = "above" if row["difference"] > 0 else "below"
        low, high = sorted((abs(row["low"]), abs(row["high"])))
        texts.append(
            f"{row['loss']} is {_size(row, abs(row['difference']))} {_interval(row, low, high)} {side} "
            f"{row['baseline']} {_where(row)}"
        )
    more = len(significant) - len(texts)
    lead = "" if significant["classes"].iloc[0].isdecimal() else "Over class counts: "
    return [f"{lead}{joined(texts)}{f', and {more} more' if more else ''}."]


def _the_rest(family: pd.DataFrame, unit: Unit) -> list[str]:
    """Return the widest interval among the comparisons without a difference as a sentence."""
    rest = family[~family["different"] & family["low"].notna()]
    if rest.empty:
        return []
    widest = rest.loc[(rest["high"] - rest["low"]).idxmax()]
    name = f"{widest['loss']} {_where(widest)} on {_count(int(widest['n']), unit)}"
    interval = _interval(widest, widest["low"], widest["high"])
    text = f"Where there is no evidence of a difference, the widest interval is {interval}, of {name}{_needed(widest)}."
    return [text]


def _where(row: pd.Series) -> str:
    counts = row["classes"].split("+")
    place = f"at C = {counts[0]}" if len(counts) == 1 else f"on the mean over C = {joined(counts)}"
    return f"{place} ({row['setting']})" if row["setting"] else place


def _count(n: int, unit: Unit) -> str:
    return f"{n} {unit.name.removesuffix('s') if n == 1 else unit.name}"


def _corrected(row: pd.Series) -> str:
    p = "p < 0.001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.3f}"
    return f" ({p}, corrected for {row['family']} comparisons)" if row["family"] > 1 else f" ({p})"


def _reading(row: pd.Series) -> str:
    """Return P(A > B) and its interpretation by Bouthillier et al."""
    share = f"P({row['loss']} better) = {row['superiority']:.2f}"
    share += f" [{row['superiority_low']:.2f}, {row['superiority_high']:.2f}]"
    if row["verdict"] == NOT_MEANINGFUL:
        return f"but not a meaningful one: {share}"
    return f"with {share}" if row["verdict"] in (BETTER, WORSE) else f"but its sign varies between seeds: {share}"


def _needed(row: pd.Series) -> str:
    """Return how many seeds a difference of one point needs, where the metric is in points."""
    needed = row.get("seeds_80_1")
    if needed is None or pd.isna(needed):
        return ""
    if needed <= row["n"]:
        return f"; {needed} are enough to detect one point"
    return f"; {needed:,} would be needed to detect one point"


def decimals(low: float, high: float) -> int:
    """Return the number of decimals that shows two digits of the half-width of an interval, at least one."""
    reach = abs(high - low) / 2
    if not math.isfinite(reach) or reach == 0:
        return 2
    return int(min(6, max(1, 1 - math.floor(math.log10(reach)))))


def number(value: float, places: int) -> str:
    """Return a number with some decimals and no negative zero.

    Example:
        >>> number(-0.04, 1), number(1.25, 2)
        ('0.0', '1.25')
    """
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _size(row: pd.Series, value: float) -> str:
    return f"{number(value, decimals(row['low'], row['high']))}{' points' if scale(row['metric']) > 1 else ''}"


def _interval(row: pd.Series, low: float, high: float) -> str:
    places = decimals(row["low"], row["high"])
    return f"[{number(low, places)}, {number(high, places)}]"


def joined(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    Example:
        >>> joined(["a", "b", "c"]), joined(["a, x", "b", "c"])
        ('a, b and c', 'a, x; b; and c')
    """
    if len(words) > 2 and any("," in word for word in words):
        return "; ".join([*words[:-1], f"and {words[-1]}"])
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
