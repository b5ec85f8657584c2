"""Reading and encoding of tables with features and a target column. Imports no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.utils.validation import Problem, SettingsError, check, choice

MISSING = ("error", "drop", "mean")
RESERVED = ("target", "pred", "correct")  # columns of predictions.csv, as are p0, p1, ...
_MAX_CATEGORIES = 100  # of a column of texts, and of the target


@dataclass(frozen=True)
class Frame:
    """A table without missing labels.

    Attributes:
        features: The features as read, one row per sample.
        labels: The class of each sample, (N,), in [0, C).
        names: The sorted values of the target; the position of each is its class.
        categories: The sorted texts of each column of features, or None for a column of numbers.
    """

    features: pd.DataFrame
    labels: NDArray[np.int64]
    names: list[Any]
    categories: dict[str, list[str] | None]

    def encode(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return samples as numbers, (N, D): numbers as they are and texts one-hot; NaN where missing.

        scikit-learn's OneHotEncoder would encode a missing text as a category of its own, or as zeros.

        Raises:
            SettingsError: If a column is missing, has a text that is not one of its categories, or is not numeric.
        """
        parts = []
        for name, texts in self.categories.items():
            if name not in features.columns:
                raise SettingsError(Problem("samples", f"a table with the column {name}", list(features.columns)))
            column = features[name]
            if texts is None:
                parts.append(_numbers(name, column)[:, None])
                continue
            unknown = column[column.notna() & ~column.astype(str).isin(texts)]
            rule = f"a table whose column {name} holds {', '.join(texts)}"
            check(Problem("samples", rule, unknown.iloc[0]) if len(unknown) else None)
            one_hot = (column.astype(str).to_numpy()[:, None] == np.array(texts)).astype(float)
            one_hot[column.isna().to_numpy()] = np.nan
            parts.append(one_hot)
        return np.hstack(parts)


def make_frame(table: pd.DataFrame, target: str, missing: str) -> Frame:
    """Split a table into features and labels.

    Args:
        table: One row per sample.
        target: Name of the column of classes.
        missing: How missing values are treated: ``error`` refuses them, ``drop`` drops their rows, ``mean`` keeps
            them, to be filled with the mean of the training samples. Missing classes cannot be kept.

    Raises:
        SettingsError: If there is no such column, a column cannot be used, values are missing, or there is one class.
    """
    table.columns = table.columns.astype(str)
    check(choice("target", target, table.columns), choice("missing", missing, MISSING))
    gaps = table.columns[table.isna().any()]
    if len(gaps) and missing == "error":
        row = int(table[gaps[0]].isna().to_numpy().argmax()) + 1
        raise SettingsError(Problem("missing", f"drop or mean, as {gaps[0]} has no value in row {row}", missing))
    if missing == "drop":
        table = table.dropna(ignore_index=True)
    rule = "a column with a value in every row, or with missing=drop"
    check(Problem("target", rule, target) if table[target].isna().any() else None)
    names, labels = np.unique(table[target].astype(str if _is_text(table[target]) else float), return_inverse=True)
    rule = f"a column of 2 to {_MAX_CATEGORIES} classes"
    check(None if 2 <= len(names) <= _MAX_CATEGORIES else Problem("target", rule, f"{target}, which has {len(names)}"))
    features = table.drop(columns=target)
    check(None if features.shape[1] else Problem("path", "a table with a feature besides the target", target))
    taken = [name for name in features.columns if name in RESERVED or name.removeprefix("p").isdecimal()]
    check(Problem("path", "a table without a feature named like a column of predictions.csv", taken) if taken else None)
    categories = {name: _categories(name, features[name]) for name in features.columns}
    return Frame(features, labels.astype(np.int64), names.tolist(), categories)


def read_frame(path: str, target: str, missing: str) -> Frame:
    """Read a CSV file, or a Parquet file if its suffix is ``.parquet``; see ``make_frame``.

    Raises:
        SettingsError: If the file cannot be read, or ``make_frame`` raises.
    """
    is_file = isinstance(path, str) and Path(path).is_file()  # not a URL, which pandas would fetch
    check(None if is_file else Problem("path", "an existing CSV or Parquet file", path))
    try:
        table = pd.read_parquet(path) if Path(path).suffix == ".parquet" else pd.read_csv(path)
    except ImportError:
        raise SettingsError(Problem("path", "a CSV file; for Parquet, pip install -e '.[parquet]'", path)) from None
    except (OSError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingsError(Problem("path", f"a CSV or Parquet file ({reason})", path)) from None
    return make_frame(table, target, missing)


def count_classes(path: str, target: str, missing: str) -> int | None:
    """Return the number of classes of a file, or None if it cannot be read."""
    try:
        return len(read_frame(path, target, missing).names)
    except SettingsError:
        return None


def digest(path: str) -> str | None:
    """Return the SHA-256 of a file, by which other content makes another condition, or None if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return None


def _is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _categories(name: str, column: pd.Series) -> list[str] | None:
    """Return the sorted texts of a column, or None if it holds numbers."""
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(column):
        _numbers(name, column)
        return None
    check(
        Problem("path", f"a table of numbers and texts, and {name} is neither", str(column.dtype))
        if pd.api.types.is_datetime64_any_dtype(column)
        else None
    )
    text = known.astype(str)
    wrong = pd.to_numeric(text, errors="coerce").isna()
    if not wrong.all() and wrong.mean() <= 0.5:
        row, value = int(text.index[wrong][0]) + 1, text[wrong].iloc[0]
        raise SettingsError(Problem("path", f"a table whose column {name} holds numbers", f"{value} in row {row}"))
    texts = sorted(text.unique())
    rule = f"a table of at most {_MAX_CATEGORIES} different texts a column, and {name} has more"
    check(Problem("path", rule, len(texts)) if len(texts) > _MAX_CATEGORIES else None)
    return texts


def _numbers(name: str, column: pd.Series) -> NDArray[np.float64]:
    """Return a column of finite numbers; NaN where missing."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if bad.any():
        row = int(bad.argmax())
        shown = f"{column.iloc[row]} in row {row + 1}"
        raise SettingsError(Problem("path", f"a table whose column {name} holds finite numbers", shown))
    return values
