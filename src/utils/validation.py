"""Checks of settings: each problem is a line with the setting, the allowed values and the value."""

import json
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # of names in a file, which a rule may list
_MAX_SHOWN = 1000  # characters of a value
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")  # beyond those that JSON escapes


@dataclass(frozen=True)
class Problem:
    """One wrong setting.

    Example:
        >>> print(Problem("classes", "a whole number of at least 2", 1))
        Expected `classes` to be a whole number of at least 2, got 1.
    """

    name: str
    rule: str
    value: Any

    def __str__(self) -> str:
        shown = json.dumps(self.value, default=str, ensure_ascii=False)  # as a user types it: null, true, [1, 2]
        shown = _LINE_ENDS.sub(lambda end: json.dumps(end.group())[1:-1], shown)
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
        rule = _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), self.rule)
        return f"Expected `{self.name}` to be {rule}, got {shown}."


class SettingsError(ValueError):
    """One or more settings are wrong; the message has a line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

    def within(self, group: str, settings: Collection[str]) -> "SettingsError":
        """Return the error with the settings of a group named in full, such as ``data.path``."""
        return SettingsError(
            *(
                replace(problem, name=f"{group}.{problem.name}")
                if problem.name.partition(".")[0] in settings
                else problem
                for problem in self.problems
            )
        )


def check(*problems: Problem | None) -> None:
    """Raise one error that reports all problems among the arguments, if there are any.

    Raises:
        SettingsError: If any argument is not None.

    Example:
        >>> check(whole("classes", 1, min_value=2), number("lr", 0.1, above=0))
        Traceback (most recent call last):
        ...
        src.utils.validation.SettingsError: Expected `classes` to be a whole number of at least 2, got 1.
    """
    if found := [problem for problem in problems if problem is not None]:
        raise SettingsError(*found)


def whole(name: str, value: Any, *, min_value: int, max_value: int | None = None) -> Problem | None:
    """Return a problem unless the value is a whole number (not a bool) in ``[min_value, max_value]``."""
    rule = (
        f"a whole number of at least {min_value}"
        if max_value is None
        else f"a whole number from {min_value} to {max_value}"
    )
    good = isinstance(value, int) and not isinstance(value, bool) and value >= min_value
    return None if good and (max_value is None or value <= max_value) else Problem(name, rule, value)


def number(
    name: str, value: Any, *, above: float | None = None, min_value: float | None = None, below: float | None = None
) -> Problem | None:
    """Return a problem unless the value is a finite number (not a bool) inside the bounds."""
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", min_value), ("below", below))
        if bound is not None
    ]
    rule = " ".join(["a number", " and ".join(bounds)]).strip()
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    good = good and (above is None or value > above) and (min_value is None or value >= min_value)
    return None if good and (below is None or value < below) else Problem(name, rule, value)


def choice(name: str, value: Any, options: Iterable[Any]) -> Problem | None:
    """Return a problem unless the value is one of the options."""
    options = list(options)
    return None if value in options else Problem(name, f"one of {', '.join(map(str, options))}", value)


def flag(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is true or false."""
    return None if isinstance(value, bool) else Problem(name, "true or false", value)
