"""Names and numbers as text in sentences and tables."""

import math
import re
from collections.abc import Sequence


def metric_label(metric: str) -> str:
    """Return a metric's name in words.

    Example:
        >>> metric_label("population/accuracy"), metric_label("population/regret")
        ('population accuracy', 'regret')
    """
    return metric.removeprefix("population/" if metric.endswith("/regret") else "").replace("/", " ").replace("_", " ")


def natural_order(value: object) -> list[tuple[float, str]]:
    """Return a sort key that orders numbers by value, also those inside of a text.

    Example:
        >>> sorted(["[50,100]", "[10,20]", "[100,200]"], key=natural_order)
        ['[10,20]', '[50,100]', '[100,200]']
    """
    if isinstance(value, int | float):
        return [(float(value), "")]
    parts = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return [(float(part), "") if index % 2 else (math.inf, part) for index, part in enumerate(parts) if part]


def decimals(low: float, high: float) -> int:
    """Return the number of decimals that shows two digits of the half-width of an interval, at least one."""
    half_width = abs(high - low) / 2
    if not math.isfinite(half_width) or half_width == 0:
        return 2
    return int(min(6, max(1, 1 - math.floor(math.log10(half_width)))))


def number(value: float, places: int) -> str:
    """Return a number with some decimals and no negative zero.

    Example:
        >>> number(-0.04, 1), number(1.25, 2)
        ('0.0', '1.25')
    """
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_interval(value: float, low: float, high: float, unit: str = "") -> str:
    """Return a value, its unit and its interval, with two digits of the half-width; no interval where it is NaN.

    Example:
        >>> with_interval(1.0, -0.4, 2.4), with_interval(1.0, 0.51, 1.49, " points"), with_interval(0.25, math.nan, 0)
        ('1.0 [-0.4, 2.4]', '1.00 points [0.51, 1.49]', '0.25')
    """
    return f"{number(value, decimals(low, high))}{unit}" + ("" if math.isnan(low) else f" {interval_text(low, high)}")


def interval_text(low: float, high: float) -> str:
    """Return an interval with two digits of its half-width."""
    places = decimals(low, high)
    return f"[{number(low, places)}, {number(high, places)}]"


def join_words(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    Example:
        >>> join_words(["a", "b", "c"]), join_words(["a, x", "b", "c"])
        ('a, b and c', 'a, x; b; and c')
    """
    if len(words) > 2 and any("," in word for word in words):
        return "; ".join([*words[:-1], f"and {words[-1]}"])
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
