"""Classes of a table: the labels with their names, types and order. Imports no torch."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.columns import spelling_key, spellings, typed
from src.utils.validation import Problem, check, flag

MAX_CLASSES = 100
_MAX_LENGTH = 200  # characters of a label
_WHOLE = r"[-+]?(0|[1-9]\d*)"
_FLOAT = r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
_BOOLEANS = {"true": True, "false": False}
_MAX_EXACT = 2**53  # up to which a float is the integer that it was read from


@dataclass(frozen=True)
class Classes:
    """The classes of a table.

    Attributes:
        target: The class of each sample, (N,), in [0, C).
        names: The label of each class, as a text, an integer, a float or a boolean.
        ordered: Whether their order is known: numbers, booleans, two classes, or an order that was given.
    """

    target: NDArray[np.int64]
    names: list[Any]
    ordered: bool


def find_classes(column: pd.Series, given: Sequence[Any] | None = None, merge: bool = False) -> Classes:
    """Return the classes of a target without missing values.

    Args:
        column: The labels.
        given: All labels in the order of their classes; None sorts them.
        merge: Whether labels that differ in case, blanks or Unicode form alone are one class.

    Raises:
        SettingsError: If there are not 2 to 100 classes, labels are spelled in several ways, or ``given`` lacks one.
    """
    check(flag("merge_labels", merge))
    good = given is None or isinstance(given, list | tuple)
    check(None if good else Problem("labels", "a list of all labels in order", given))
    labels = _plain(column)
    if merge:
        labels = _merged(labels, given)
    values = list(dict.fromkeys(labels))
    rule = f"a column of 2 to {MAX_CLASSES} classes"
    check(
        None if 2 <= len(values) <= MAX_CLASSES else Problem("target", rule, f"{column.name}, which has {len(values)}")
    )
    long = next((value for value in values if len(str(value)) > _MAX_LENGTH), None)
    check(Problem("target", f"a column of labels of at most {_MAX_LENGTH} characters", long) if long else None)
    are_texts = any(isinstance(value, str) for value in values)
    if given is None:
        _check_spellings(labels)
        names, ordered = sorted(values), not are_texts or len(values) == 2
    else:
        names, ordered = _in_order(given, sorted(values)), True
    codes = {name: code for code, name in enumerate(names)}
    return Classes(np.array([codes[label] for label in labels], dtype=np.int64), names, ordered)


def parse_labels(texts: pd.Series) -> pd.Series:
    """Return labels as booleans, exact integers or floats where all of them are written so, and as texts otherwise.

    Example:
        >>> parse_labels(pd.Series(["9007199254740993", "9007199254740992"])).tolist()
        [9007199254740993, 9007199254740992]
        >>> parse_labels(pd.Series(["01", "2"])).tolist()
        ['01', '2']
    """
    values = {text: text.strip() for text in texts.dropna().unique()}
    bare = values.values()
    parse: Any = None
    if all(text.lower() in _BOOLEANS for text in bare):
        parse = lambda text: _BOOLEANS[text.lower()]  # noqa: E731 - one of three
    elif all(re.fullmatch(_WHOLE, text) for text in bare):
        parse = int
    elif all(re.fullmatch(_FLOAT, text) and math.isfinite(float(text)) for text in bare):
        parse = float
    if parse is None:
        return texts
    known = {text: parse(value) for text, value in values.items()}
    return pd.Series([known.get(text) for text in texts], index=texts.index, name=texts.name, dtype=object)


def _plain(column: pd.Series) -> list[Any]:
    """Return labels as Python's own texts, booleans, integers and floats; a date as a text."""
    if pd.api.types.is_datetime64_any_dtype(column):
        midnight = bool((column.dt.normalize() == column).all())
        return column.dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%S.%f").tolist()
    labels = column.astype(object).tolist()
    kinds = {bool if isinstance(label, bool) else type(label) for label in labels}
    if kinds == {float}:
        whole = all(label.is_integer() for label in labels)
        rounded = pd.api.types.is_float_dtype(column) and any(abs(label) > _MAX_EXACT for label in labels)
        rule = "a column of labels as they were written, and integers above 2^53 are rounded in a column of floats"
        check(Problem("target", rule, str(column.name)) if whole and rounded else None)
        return [int(label) for label in labels] if whole else labels
    return labels if kinds in ({bool}, {int}) or kinds == {int, float} else list(map(str, labels))


def _check_spellings(labels: list[Any]) -> None:
    """Raise if two texts look like spellings of one label."""
    counts = pd.Series(labels, dtype=object).value_counts()
    alike = next((each for each in spellings(sorted(counts.index)) if len(each) > 1), None)
    if alike:
        shown = ", ".join(f"'{label}' ({counts[label]} rows)" for label in alike)
        every = typed("data.labels", sorted(counts.index))
        check(Problem("merge_labels", f"true to join the spellings {shown} of a label, or {every} to keep them", False))


def _merged(labels: list[Any], given: Sequence[Any] | None) -> list[Any]:
    """Return labels with one spelling each: that of ``given``, or the most common one."""
    counts = pd.Series(labels, dtype=object).value_counts()
    chosen: dict[str, Any] = {}
    if given is not None:
        chosen = {spelling_key(str(label)): label for label in given}
    common_first = sorted(
        counts.index, key=lambda each: (-counts[each], str(each) != str(each).strip(), str(each) != str(each).lower())
    )
    for label in common_first:
        chosen.setdefault(spelling_key(str(label)), label)
    return [chosen[spelling_key(str(label))] for label in labels]


def _in_order(given: Sequence[Any], values: list[Any]) -> list[Any]:
    """Return the labels of the table in a given order, in which a label may be written as a text: 1 as "1"."""
    by_text = {str(value).lower() if isinstance(value, bool) else str(value): value for value in values}
    written = [str(label).lower() if isinstance(label, bool) else str(label) for label in given]
    names = [by_text.get(text, by_text.get(text.lower())) for text in written]
    rule = f"{', '.join(map(str, values))} in an order, each once"
    check(None if len(names) == len(values) and set(names) == set(values) else Problem("labels", rule, list(given)))
    return names
