"""Text in CSV files that a spreadsheet would run as a formula."""

import re
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

_FORMULA = re.compile(r"'*[=+\-@\t\n\r]")  # text with quotes before it too, so that unescaping has one answer


def escape_formula(cell: Any) -> Any:
    """Return a cell with a quote before text that a spreadsheet would run as a formula.

    Example:
        >>> escape_formula("=1+1"), escape_formula("mse"), escape_formula(-0.5)
        ("'=1+1", 'mse', -0.5)
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", "\n")  # a carriage return would end the row
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: Any) -> Any:
    """Return what ``escape_formula`` was given, with a line feed for each carriage return.

    Example:
        >>> unescape_formula("'=1+1"), unescape_formula("'s"), unescape_formula(-0.5)
        ('=1+1', "'s", -0.5)
    """
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and _FORMULA.match(cell) else cell


def escape_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table whose text, names of columns included, is safe in a spreadsheet."""
    return _mapped(table, escape_formula)


def unescape_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that was written with ``escape_formulas``, as it was before."""
    return _mapped(table, unescape_formula)


def _mapped(table: pd.DataFrame, function: Any) -> pd.DataFrame:
    names = [function(name) for name in table.columns]
    mapped = table.copy(deep=False) if names == list(table.columns) else table.set_axis(names, axis="columns")
    for index, kind in enumerate(table.dtypes):  # by index, as two columns may share a name
        if not is_numeric_dtype(kind):
            mapped.isetitem(index, table.iloc[:, index].map(function))
    return mapped
