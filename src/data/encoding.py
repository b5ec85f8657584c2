"""Encoding of the columns of a table as inputs of the networks, fitted on the training samples of one seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

from src.data.columns import Column, numbers, texts_of
from src.utils.validation import Problem, SettingsError, check, choice, number, whole

UNKNOWN = ("error", "none")


# A ColumnTransformer would have as many outputs as the training samples of a seed have categories; the seeds of a stack
# need the same inputs, and unknown categories need the row that has them. So the columns are put together here.
@dataclass(frozen=True)
class Layout:
    """Where each feature of a table is among the inputs of the networks, the same for every seed.

    A number and an ordered category take one input each, the latter its rank; another category one input for each of
    its texts and, where rare ones are grouped, one for all of these. Where ``indicator`` is set, a column with missing
    values has one more, which is 1 where the value is missing.

    Attributes:
        columns: The features.
        unknown: What a category is that training never saw: an ``error``, or ``none`` of the categories.
        min_frequency: Number, or share, of the training samples below which a category is grouped with others; None
            for no such limit.
        max_categories: Largest number of inputs of a column; None for no limit.
        indicator: Whether missing values have an input.
    """

    columns: tuple[Column, ...]
    unknown: str = "error"
    min_frequency: float | None = None
    max_categories: int | None = None
    indicator: bool = False

    @property
    def grouped(self) -> bool:
        """Whether rare categories are grouped."""
        return self.min_frequency is not None or self.max_categories is not None

    def widths(self) -> list[int]:
        """Return the number of inputs of each column."""
        return [
            (1 if column.is_number else len(column.categories) + self.grouped) + (self.indicator and column.missing > 0)
            for column in self.columns
        ]

    def codes(self, features: pd.DataFrame, *, allow_unknown: bool | None = None) -> NDArray[np.float64]:
        """Return samples as numbers, (N, K): numbers as they are, categories by their position; NaN where missing.

        Args:
            features: A table with the columns of the features.
            allow_unknown: Whether a category may be unknown; None for what ``unknown`` says.

        Raises:
            SettingsError: If a column is missing, has an unknown category, or is not numeric.
        """
        allowed = self.unknown == "none" if allow_unknown is None else allow_unknown
        codes = np.empty((len(features), len(self.columns)))
        for position, column in enumerate(self.columns):
            codes[:, position] = self._codes(column, features, allowed)
        return codes

    def _codes(self, column: Column, features: pd.DataFrame, allow_unknown: bool) -> NDArray[np.float64]:
        name = column.name
        if name not in features.columns:
            raise SettingsError(Problem("samples", f"a table with the column {name}", list(features.columns)))
        if not column.categories:
            return numbers(name, features[name])
        texts = texts_of(features[name])
        codes = texts.map({text: code for code, text in enumerate(column.categories)})
        unknown = (codes.isna() & texts.notna()).to_numpy()
        if unknown.any() and not allow_unknown:
            row = int(unknown.argmax())
            rule = f"a table whose column {name} holds {', '.join(column.categories)}, or with unknown=none"
            check(Problem("samples", rule, f"{texts.iloc[row]} in row {row + 1}"))
        values = codes.to_numpy(dtype=float, na_value=np.nan, copy=True)
        values[unknown] = np.nan if column.is_number else len(column.categories)
        return values

    def fit(self, codes: NDArray[np.float64]) -> "Encoder":
        """Return the encoder of the categories of the training samples (n, K) of one seed."""
        positions = []
        for column, values in zip(self.columns, codes.T, strict=True):
            positions.append([] if column.is_number else self._positions(column, values[~np.isnan(values)]))
        return Encoder(self, tuple(map(tuple, positions)))

    def _positions(self, column: Column, codes: NDArray[np.float64]) -> list[int]:
        """Return the input of each category among those of its column, or -1 for none, and that of unknown ones."""
        size = len(column.categories)
        if not len(codes):
            return [-1] * (size + 1)
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=self.min_frequency,
            max_categories=self.max_categories,
        ).fit(codes[:, None])
        [seen] = encoder.categories_
        [rare] = encoder.infrequent_categories_ if self.grouped else [None]
        rare = [] if rare is None else rare
        other = size if len(rare) else -1
        frequent = set(seen) - set(rare)
        return [code if code in frequent else other for code in range(size)] + [other]


@dataclass(frozen=True)
class Encoder:
    """The encoding that the training samples of one seed give.

    Attributes:
        layout: Where the features are.
        positions: For each column of categories the input of each of them, -1 for none, and that of unknown ones.
    """

    layout: Layout
    positions: tuple[tuple[int, ...], ...]

    def __call__(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inputs of samples before they are scaled: (N, K) -> (N, D); NaN where missing."""
        parts: list[Any] = []
        for column, positions, width, values in zip(
            self.layout.columns, self.positions, self.layout.widths(), codes.T, strict=True
        ):
            missing = np.isnan(values)
            part = np.zeros((len(values), width))
            if column.is_number:
                part[:, 0] = values
            else:
                place = np.array(positions)[np.where(missing, -1, values).astype(int)]
                part[np.arange(len(values)), place] = place >= 0  # a place of -1 writes 0 to the last one
                part[missing] = np.nan
            if self.layout.indicator and column.missing:
                part[:, -1] = missing
            parts.append(part)
        return np.hstack(parts)

    def unseen(self, codes: NDArray[np.float64]) -> list[tuple[str, str, int]]:
        """Return name of the column, category and row of each category that the training samples did not have."""
        found = []
        for column, positions, values in zip(self.layout.columns, self.positions, codes.T, strict=True):
            for code, place in enumerate(positions[:-1]):
                if place < 0 and (rows := np.flatnonzero(values == code)).size:
                    found.append((column.name, column.categories[code], int(rows[0]) + 1))
        return found


def layout_problems(unknown: Any, min_frequency: Any, max_categories: Any) -> list[Problem | None]:
    """Return what is wrong with the settings of categories."""
    problems = [choice("unknown", unknown, UNKNOWN)]
    if isinstance(min_frequency, float):
        problems.append(number("min_frequency", min_frequency, above=0, below=1))
    elif min_frequency is not None:
        problems.append(whole("min_frequency", min_frequency, min_value=1))
    if max_categories is not None:
        problems.append(whole("max_categories", max_categories, min_value=2))
    return problems
