"""Splits that a column decides, by time or by the name of each sample's split, and folds of cross-validation."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.columns import is_date, is_text, numbers, texts_of
from src.utils.validation import Problem, SettingsError, check

PARTS = ("test", "val", "train")  # in the order in which a source returns them


def times_of(column: pd.Series) -> NDArray[np.float64]:
    """Return the time of each sample, (N,): a number, or the days of a date since 1970.

    Raises:
        SettingsError: If the column holds neither dates nor numbers.
    """
    if is_text(column) and not is_date(column):
        rule = "a column of dates or numbers with split=time"
        raise SettingsError(Problem("split_by", rule, f"{column.name} with {column.iloc[0]}"))
    return numbers(str(column.name), column)


def time_sizes(times: NDArray[np.float64], test: int, val: int) -> tuple[int, int]:
    """Return the sizes nearest to these with which no two parts share a time.

    Args:
        times: The time of each sample, (N,).
        test: Samples of the test split, the latest ones.
        val: Samples of the validation split, before them; 0 for none.

    Raises:
        SettingsError: If there are fewer times than splits.

    Example:
        >>> time_sizes(np.array([1, 1, 2, 2, 2, 3, 3, 4]), 2, 2)
        (1, 2)
    """
    counts = np.unique(times, return_counts=True)[1]
    splits = 2 + (val > 0)
    rule = f"a column with at least {splits} different times, one for each split"
    check(None if len(counts) >= splits else Problem("split_by", rule, len(counts)))
    ends = counts[::-1].cumsum()[:-1]  # samples from each time on, the latest first
    possible = ends[: len(ends) - (val > 0)]
    size = int(possible[np.abs(possible - test).argmin()])
    if not val:
        return size, 0
    later = ends[ends > size]
    return size, int(later[np.abs(later - size - val).argmin()]) - size


def named_parts(column: pd.Series) -> NDArray[np.str_]:
    """Return the name of each sample's split, (N,).

    Raises:
        SettingsError: If a value is none of ``train``, ``val`` and ``test``.
    """
    names = texts_of(column).to_numpy(dtype=str)
    wrong = sorted(set(names) - set(PARTS))
    rule = "a column that says train, val or test"
    check(Problem("split_by", rule, f"{column.name} with {wrong[0]}") if wrong else None)
    return names


def fold_numbers(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each sample, (N,), in [0, folds); -1 for N % folds samples of the largest classes in none.

    Every fold has N // folds samples, as runs that train together need, and the shares of the classes. scikit-learn's
    StratifiedKFold makes folds that differ by a sample.

    Args:
        labels: The class of each sample, (N,), each with at least one sample for every fold.
        folds: Number of folds.
        seed: Seed of the folds.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))  # by class, at random within it
    for _ in range(len(labels) % folds):
        largest = np.bincount(labels[order]).argmax()
        order = np.delete(order, np.flatnonzero(labels[order] == largest)[0])
    numbers = np.full(len(labels), -1)
    numbers[order] = np.arange(len(order)) % folds
    return numbers
