"""Tables with features and a target column: read, cleaned and ready to be encoded. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.columns import CATEGORY, Column, Roles, check_columns, find_columns, is_text, texts_of
from src.data.labels import Classes, find_classes, parse_labels
from src.data.reading import existing, has_raw_labels, raw_texts, read_table
from src.utils.typed_path import typed_path
from src.utils.validation import Problem, SettingsError, check, choice

FILE_SPLIT = "split by file"  # the column that tells the rows of two files apart
MISSING = ("error", "drop", "mean", "indicator")


@dataclass(frozen=True)
class Frame:
    """A table without missing labels.

    Attributes:
        features: The features as read, one row per sample.
        labels: The target as read.
        classes: The class of each sample, and the label of each class.
        columns: All columns except the target and those that were left out, with their roles.
        groups: The group of each sample, or None.
        split_by: The value of each sample that orders or names the splits, or None.
    """

    features: pd.DataFrame
    labels: pd.Series
    classes: Classes
    columns: tuple[Column, ...]
    groups: pd.Series | None = None
    split_by: pd.Series | None = None

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are features."""
        return tuple(column for column in self.columns if column.used)


@dataclass(frozen=True)
class TableSettings(Roles):
    """How a table is read and what its columns are; the settings ``data.*`` of the same names.

    Attributes:
        target: Name of the column of classes.
        missing: How missing values are treated: ``error`` refuses them, ``drop`` drops their rows, ``mean`` keeps
            them, to be filled with the mean of the training samples, and ``indicator`` also adds an input that is 1
            where a value is missing. Missing classes cannot be kept.
        read: Arguments of ``pandas.read_csv``, or ``auto``.
        labels: All labels in the order of their classes; None sorts them.
        merge_labels: Whether spellings of a label that differ in case, blanks or Unicode form are one class.
        test_path: A second file, whose rows are the test samples; None for none.
    """

    target: Any = None
    missing: Any = "error"
    read: Any = None
    labels: Sequence[Any] | None = None
    merge_labels: Any = False
    test_path: Any = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "TableSettings":
        """Return those of some settings that are of the table."""
        return cls(**{item.name: settings[item.name] for item in fields(cls) if item.name in settings})


def make_frame(table: pd.DataFrame, settings: TableSettings) -> Frame:
    """Split a table into features and classes.

    Args:
        table: One row per sample.
        settings: What its columns are.

    Raises:
        SettingsError: If there is no such column, a column cannot be used, values are missing, or there is one class.
    """
    target, missing = settings.target, settings.missing
    table.columns = table.columns.astype(str)
    shown = [name if name == name.strip() else f"'{name}'" for name in table.columns]
    known = isinstance(target, str) and target in table.columns
    check(None if known else Problem("target", f"one of {', '.join(shown)}", target))
    check(choice("missing", missing, MISSING))
    check(Problem("path", "a table with rows", 0) if table.empty else None)
    columns = find_columns(table, target, settings)
    check_columns(columns, settings.drop)
    used = [column.name for column in columns if column.used]
    needed = [target, *used, *(name for name in (settings.groups, settings.split_by) if name is not None)]
    gaps = [name for name in table.columns if name in needed and table[name].isna().any()]
    if gaps and missing == "error":
        row = int(table[gaps[0]].isna().to_numpy().argmax()) + 1
        rule = f"drop, mean or indicator, as {gaps[0]} has no value in row {row}"
        raise SettingsError(Problem("missing", rule, missing))
    if missing == "drop":
        table = table.dropna(subset=needed, ignore_index=True)
        check(None if len(table) else Problem("missing", "mean, as every row lacks a value", missing))
        columns = [_without_absent(column, table) for column in columns]
    rule = "a column with a value in every row, or with missing=drop"
    check(Problem("target", rule, target) if table[target].isna().any() else None)
    classes = find_classes(table[target], settings.labels, settings.merge_labels)
    groups, split_by = (None if name is None else table[name] for name in (settings.groups, settings.split_by))
    return Frame(table[used], table[target], classes, tuple(columns), groups, split_by)


def read_frame(path: Any, settings: TableSettings) -> Frame:
    """Read a file; see ``src.data.reading`` and ``make_frame``. The last one is kept.

    Raises:
        SettingsError: If the file cannot be read, or ``make_frame`` raises.
    """
    existing(path)
    key = (digest(path), digest(settings.test_path), json.dumps([path, settings.__dict__], default=str))
    if _last.get("key") != key:
        _last.clear()  # before another is read, which may be large
        _last.update(key=key, frame=_read(path, settings))
    frame: Frame = _last["frame"]
    return frame


_last: dict[str, Any] = {}


def _read(path: Any, settings: TableSettings) -> Frame:
    table = _checked_table(path, settings)
    if settings.test_path is None:
        return make_frame(table, settings)
    needless = settings.split_by is not None
    check(Problem("split_by", "null with split=file", settings.split_by) if needless else None)
    try:
        test = _checked_table(settings.test_path, settings)
    except SettingsError as error:
        raise SettingsError(
            *(replace(each, name="test_path") if each.name == "path" else each for each in error.problems)
        ) from None
    absent = [str(name) for name in table.columns if name not in test.columns]
    check(Problem("test_path", f"a file with the column {absent[0]}", str(settings.test_path)) if absent else None)
    both = pd.concat([table.assign(**{FILE_SPLIT: "train"}), test[table.columns].assign(**{FILE_SPLIT: "test"})])
    return make_frame(both.reset_index(drop=True), replace(settings, split_by=FILE_SPLIT))


def _checked_table(path: Any, settings: TableSettings) -> pd.DataFrame:
    """Return a file as it is read, once nothing in it reads as missing that is a text."""
    existing(path)
    table = read_labelled_table(path, settings)
    if isinstance(settings.target, str) and settings.target in table.columns and has_raw_labels(path):
        _check_missing_labels(path, table[settings.target], settings)
        _check_missing_texts(path, table, settings)
    return table


def read_labelled_table(path: Any, settings: TableSettings) -> pd.DataFrame:
    """Return a file as it is read, with the types that its labels seem to have.

    Raises:
        SettingsError: If the file cannot be read.
    """
    table, target = read_table(path, settings.target, settings.read), settings.target
    if isinstance(target, str) and target in table.columns and has_raw_labels(path):
        table[target] = parse_labels(table[target])
    return table


def _check_missing_labels(path: Any, labels: pd.Series, settings: TableSettings) -> None:
    """Raise if a label such as NA reads as missing, unless its rows are dropped."""
    if settings.missing == "drop" or not labels.isna().any():
        return
    lost = raw_texts(path, settings.target, settings.read)
    lost = None if lost is None else lost[labels.isna()].dropna()
    if lost is not None and len(lost):
        rule = (
            f"false to keep the label {lost.iloc[0]} as a class, which reads as missing in {len(lost)} rows, the first "
            f"of which is {int(lost.index[0]) + 1}; data.missing=drop drops them"
        )
        raise SettingsError(Problem("read.keep_default_na", rule, True))


def _check_missing_texts(path: Any, table: pd.DataFrame, settings: TableSettings) -> None:
    """Raise if a text of a feature, such as None, reads as missing where no value may be missing."""
    if settings.missing != "error":
        return
    for name in settings.features or table.columns.drop(settings.target):
        if name in settings.drop or name not in table or not (is_text(table[name]) and table[name].isna().any()):
            continue
        raw = raw_texts(path, name, settings.read)
        lost = None if raw is None else raw[table[name].isna()].dropna()
        if lost is not None and len(lost):
            text = f"the text {lost.iloc[0]} in row {int(lost.index[0]) + 1} of {name} reads as missing"
            rule = f"drop, mean or indicator, as {text}, unless data.read.keep_default_na=false keeps it"
            raise SettingsError(Problem("missing", rule, settings.missing))


def count_classes(path: Any, settings: TableSettings) -> int | None:
    """Return the number of classes of a file, or None if it cannot be read."""
    try:
        return len(read_frame(path, settings).classes.names)
    except SettingsError:
        return None


def digest(path: Any) -> str | None:
    """Return the SHA-256 of a file, by which other content makes another condition, or None if it cannot be read.

    A process reads the file once, and again after it has changed: the jobs of a sweep share one hash.
    """
    try:
        file = typed_path(path)
        state = file.stat()
        return _digest(file, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    except (OSError, TypeError, ValueError):
        return None


@lru_cache(maxsize=64)
def _digest(path: Path, state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def earlier_roles(path: Any, target: Any) -> dict[str, Any]:
    """Return settings by which every column is a feature: numbers as such, and texts as categories, in order.

    Raises:
        SettingsError: If the file cannot be read.
    """
    table = read_labelled_table(path, TableSettings(target=target))
    features = table.drop(columns=target, errors="ignore")
    numeric = [name for name in features if pd.to_numeric(features[name], errors="coerce").notna().any()]
    labels = table[target].dropna().unique().tolist() if target in table.columns else None
    return {"numeric": numeric, "categorical": [name for name in features if name not in numeric]} | (
        {"labels": sorted(labels)} if labels and all(isinstance(label, str) for label in labels) else {}
    )


def _without_absent(column: Column, table: pd.DataFrame) -> Column:
    """Return a column without the categories whose rows were dropped."""
    if column.role != CATEGORY:
        return column
    known = set(texts_of(table[column.name]))
    return replace(column, categories=tuple(text for text in column.categories if text in known))
