"""Roles of the columns of a table: which are features, and how each is encoded. Imports no torch."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.utils.validation import Problem, SettingsError, check

NUMBER, CATEGORY, ORDERED, GROUP, SPLIT = "number", "category", "ordered category", "group", "split"
DATE, TEXT, IDENTIFIER, CONSTANT, INDEX = "date", "text", "identifier", "constant", "index"
_MAX_CATEGORIES = 100  # of a column, unless data.categorical names it
_MIN_IDENTIFIERS = 10  # rows from which all-different values are those of an identifier
_IDENTIFIER_SHARE = 0.9  # of the rows that have a value of their own
_ALMOST_ALL = 0.99  # of the rows with one text, from which a column is almost constant
_WORDS = 3  # of a text, on average, that is no category
_MAX_EXAMPLE = 60  # characters
_NAMELESS = r"(Unnamed: \d+|\s*)"
_ID_NAME = re.compile(
    r"(.*[ _-])?(id|idx|index|key|uid|uuid|guid|nr|no|number|row)([ _-].*)?|.*[a-z](Id|ID)", re.IGNORECASE
)
_WITH_SIGN = r"[$€£¥]?\s?[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?\s?[%$€£¥]?"
_DATES = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?",
    r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( .*)?",
    r"\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{4}( .*)?",
)
_MAX_TYPED = 40  # letters of a value that somebody would type
_INFINITE = ", or with data.read.na_values=[inf,-inf] and data.missing where infinity stands for no value"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        role: What it is taken for.
        values: Number of its different values.
        missing: Number of rows without a value.
        used: Whether it is a feature.
        categories: The texts of a column of categories, in order; otherwise empty.
        note: Why its role is not that of its values.
        setting: The setting that would use it, if it is refused until a setting says what it is.
    """

    name: str
    role: str
    values: int
    missing: int
    used: bool = True
    categories: tuple[str, ...] = ()
    note: str = ""
    setting: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it is encoded as one number, as an ordered category is by its rank."""
        return self.role != CATEGORY


@dataclass(frozen=True)
class Roles:
    """What the user says of the columns, by their names.

    Attributes:
        features: The columns to use; None for all but the target.
        drop: Columns that are not used.
        categorical: Columns of categories, whatever their values.
        ordered: Columns of ordered categories, each with its texts in order.
        numeric: Columns of numbers; a date counts as its days since 1970.
        groups: The column of groups, which is no feature; None for none.
        split_by: The column that orders or names the splits, which is no feature; None for none.
    """

    features: Sequence[str] | None = None
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    ordered: Mapping[str, Sequence[Any]] | None = None
    numeric: Sequence[str] = ()
    groups: str | None = None
    split_by: str | None = None


def find_columns(table: pd.DataFrame, target: str, roles: Roles) -> list[Column]:
    """Return every column that is not left out, except the target, with its role.

    Raises:
        SettingsError: If a setting names no column or two roles for one, or a column does not fit its setting.
    """
    _check_names(table, target, roles)
    names = [name for name in table.columns if name not in (target, *roles.drop)]
    if roles.features is not None:
        names = [name for name in names if name in (*roles.features, roles.groups, roles.split_by)]
    return [_column(table[name], roles) for name in names]


def check_columns(columns: Sequence[Column], drop: Sequence[str]) -> None:
    """Raise one line for all columns that are most likely not what they would be used as, or if there is no feature.

    Raises:
        SettingsError: With the columns, an example of each and the settings that leave them out or use them.
    """
    doubtful = [column for column in columns if column.setting]
    if doubtful:
        reasons = "; ".join(f"{column.name} {column.note}" for column in doubtful)
        settings = dict.fromkeys(column.setting for column in doubtful)
        ways = ((each, [column.name for column in doubtful if column.setting == each]) for each in settings)
        uses = " ".join(typed(f"data.{setting}", names) for setting, names in ways)
        dropped = typed("data.drop", [*drop, *(column.name for column in doubtful)])
        check(Problem("drop", f"set, as by {dropped} ({reasons}), or the columns to be used, as by {uses}", list(drop)))
    check(None if any(column.used for column in columns) else Problem("features", "given, as no column is left", None))


def typed(setting: str, names: Sequence[Any]) -> str:
    """Return a list of names as it is typed on a command line.

    Example:
        >>> print(typed("data.drop", ["a", "b c"]))
        'data.drop=["a","b c"]'
    """
    if all(re.fullmatch(r"[A-Za-z_]\w*", str(name), flags=re.ASCII) for name in names):
        return f"{setting}=[{','.join(map(str, names))}]"
    quoted = ",".join(f'"{name}"' for name in names)
    return f"'{setting}=[{quoted}]'"


def numbers(name: str, column: pd.Series) -> NDArray[np.float64]:
    """Return a column of finite numbers; NaN where missing; a date as its days since 1970.

    Raises:
        SettingsError: If a value is no finite number.
    """
    signed = None if not is_text(column) else column.dropna().astype(str)
    if signed is not None and len(signed) and signed.str.fullmatch(_WITH_SIGN).all():
        column = column.astype(object).where(column.notna(), None).map(_without_sign, na_action="ignore")
    if is_date(column):
        dates = pd.to_datetime(column, errors="coerce", utc=True, format="mixed", dayfirst=_day_first(column))
        values = ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(dtype=float)
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if bad.any():
        row = int(bad.argmax())
        shown = f"{column.iloc[row]} in row {row + 1}"
        rule = f"a table whose column {name} holds finite numbers"
        check(Problem("path", rule + (_INFINITE if np.isinf(values[row]) else ""), shown))
    return values


def _without_sign(text: Any) -> str:
    """Return the digits of an amount: of $1,000.50 or 3 %."""
    return re.sub(r"[^\d.eE+-]", "", str(text))


def texts_of(column: pd.Series) -> pd.Series:
    """Return the values of a column as texts, whole numbers without a point; missing ones stay missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).where(column.notna(), None).map(str, na_action="ignore")


def spelling_key(text: str) -> str:
    """Return what texts share that differ in case, blanks or Unicode form alone."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def spellings(texts: Sequence[Any]) -> list[list[Any]]:
    """Return texts in groups that differ in case, blanks or Unicode form alone."""
    groups: dict[str, list[Any]] = {}
    for text in texts:
        groups.setdefault(spelling_key(str(text)), []).append(text)
    return list(groups.values())


def is_text(column: pd.Series) -> bool:
    """Return whether a column holds neither numbers, dates nor booleans."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def is_date(column: pd.Series) -> bool:
    """Return whether all values of a column are dates."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    known = column.dropna()
    if not is_text(column) or not len(known) or isinstance(column.dtype, pd.CategoricalDtype):
        return False
    text = known.astype(str)
    if not any(text.str.fullmatch(form).all() for form in _DATES):
        return False
    parsed = pd.to_datetime(text, errors="coerce", utc=True, format="mixed", dayfirst=_day_first(text))
    return bool(parsed.notna().all())


def _day_first(column: pd.Series) -> bool:
    """Return whether dates are written as day, month, year, unless a day above 12 comes second."""
    text = column.dropna().astype(str)
    return bool(text.str.match(r"\d{1,2}\D").all() and not text.str.match(r"\d{1,2}\D(1[3-9]|2\d|3[01])\D").any())


def _check_names(table: pd.DataFrame, target: str, roles: Roles) -> None:
    """Raise unless every name in the roles is that of a column, which has one role."""
    ordered = roles.ordered or {}
    lists = {name: getattr(roles, name) for name in ("features", "drop", "categorical", "numeric")}
    good = {name: value is None or isinstance(value, list | tuple) for name, value in lists.items()}
    check(None if isinstance(ordered, Mapping) else Problem("ordered", "lists of texts by column", ordered))
    check(*(None if good[name] else Problem(name, "a list of columns", value) for name, value in lists.items()))
    check(
        *(
            Problem("ordered", f"a list of texts for {name}", value)
            for name, value in ordered.items()
            if not _is_list(value)
        ),
    )
    single = {"groups": roles.groups, "split_by": roles.split_by}
    lists |= {"ordered": list(ordered)} | {name: None if value is None else [value] for name, value in single.items()}
    known = [name for name in table.columns if name != target]
    for setting, names in lists.items():
        for name in map(str, names or ()):
            check(None if name in known else Problem(setting, f"of the columns {', '.join(known)}", name))
    given: dict[str, str] = {}
    for setting in ("drop", "categorical", "ordered", "numeric", "groups", "split_by"):
        for name in map(str, lists[setting] or ()):
            rule = f"without {name}, which data.{given.get(name)} names"
            check(Problem(setting, rule, list(lists[setting])) if name in given else None)
            given[name] = setting


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


def _column(values: pd.Series, roles: Roles) -> Column:
    """Return a column with its role: that of a setting, otherwise that of its values."""
    name, ordered = str(values.name), roles.ordered or {}
    known = values.dropna()
    try:
        different = int(known.nunique())
    except TypeError:  # lists and objects of JSON
        rule = f"a table whose column {name} holds one value a row"
        raise SettingsError(Problem("path", rule, str(known.iloc[0]))) from None
    column = Column(name, NUMBER, different, len(values) - len(known))
    if name == roles.groups:
        return replace(column, role=GROUP, used=False)
    if name == roles.split_by:
        return replace(column, role=SPLIT, used=False)
    if name in ordered:
        given = [str(text) for text in ordered[name]]
        other = sorted(set(texts_of(known)) - set(given))
        check(Problem("ordered", f"a list for {name} that has {other[0]}", given) if other else None)
        return replace(column, role=ORDERED, categories=tuple(given))
    if name in roles.numeric:
        numbers(name, values)
        return column
    if name in roles.categorical:
        return _category(column, known)
    if isinstance(values.dtype, pd.CategoricalDtype) and values.dtype.ordered and different > 1:
        return replace(column, role=ORDERED, categories=tuple(map(str, values.cat.categories)))
    if pd.api.types.is_datetime64_any_dtype(values):
        example = known.iloc[0] if len(known) else "none"
        return _doubtful(column, DATE, f"holds dates, such as {example}", "numeric")
    return _numeric_column(column, known) if pd.api.types.is_numeric_dtype(values) else _text_column(column, known)


def _category(column: Column, known: pd.Series) -> Column:
    return replace(column, role=CATEGORY, categories=tuple(sorted(set(texts_of(known)))))


def _doubtful(column: Column, role: str, note: str, setting: str) -> Column:
    return replace(column, role=role, used=False, note=note, setting=setting)


def _numeric_column(column: Column, known: pd.Series) -> Column:
    """Return a column of numbers with its role."""
    numbers(column.name, known)
    if not column.values:
        return replace(column, role=CONSTANT, used=False, note="has no values")
    if column.values <= 1:
        return replace(column, role=CONSTANT)
    if not pd.api.types.is_integer_dtype(known):
        return column
    first = int(known.iloc[0])
    if len(known) > 2 and first in (0, 1) and (known.to_numpy() == np.arange(first, first + len(known))).all():
        if re.fullmatch(_NAMELESS, column.name):
            return replace(column, role=INDEX, used=False, note="counts the rows")
        return _doubtful(column, INDEX, f"counts the rows: {first}, {first + 1}, {first + 2}, ...", "numeric")
    if column.values == len(known) >= _MIN_IDENTIFIERS and _ID_NAME.fullmatch(column.name):
        return _doubtful(column, IDENTIFIER, f"differs in every row, such as {known.iloc[0]}", "numeric")
    return column


def _check_numbers_alone(name: str, text: pd.Series) -> None:
    """Raise if half of the texts of a column or more are numbers, but not all."""
    wrong = pd.to_numeric(text, errors="coerce").isna()
    if 0 < wrong.mean() <= 0.5:
        row, value = int(np.flatnonzero(wrong)[0]), text[wrong].iloc[0]
        rule = f"a table whose column {name} holds numbers, or with {typed('data.categorical', [name])}"
        if text[wrong].nunique() == 1 and len(value) <= _MAX_TYPED:
            rule += f", or with {typed('data.read.na_values', [value])} where that stands for no value"
        if wrong.sum() == 1:  # such as units below the header, or sums below the samples
            rule += f", or with data.read.skiprows=[{int(text.index[row]) + 1}] where the row is no sample"
        check(Problem("path", rule, f"{value} in row {int(text.index[row]) + 1}"))


def _text_column(column: Column, known: pd.Series) -> Column:
    """Return a column of texts with its role."""
    name, rows, text = column.name, len(known), texts_of(known)
    if column.values <= 1:
        return replace(column, role=CONSTANT, used=False)
    _check_numbers_alone(name, text)
    example = f"such as {text.iloc[0][:_MAX_EXAMPLE]}"
    if is_date(known):
        return _doubtful(column, DATE, f"holds dates, {example}", "numeric")
    if text.str.fullmatch(_WITH_SIGN).all() and not text.str.fullmatch(r"[\d.,]*").any():
        return _doubtful(column, TEXT, f"holds numbers with a sign, {example}", "numeric")
    if rows >= _MIN_IDENTIFIERS and column.values >= _IDENTIFIER_SHARE * rows:
        if text.str.split().str.len().mean() >= _WORDS:
            return _doubtful(column, TEXT, f"holds free text, {example}", "categorical")
        return _doubtful(column, IDENTIFIER, f"differs in almost every row, {example}", "categorical")
    if column.values > _MAX_CATEGORIES:
        reason = f"has {column.values} different texts, more than {_MAX_CATEGORIES}, {example}"
        return _doubtful(column, TEXT, reason, "categorical")
    common = text.value_counts()
    if rows >= 2 * _MIN_IDENTIFIERS and int(common.iloc[0]) >= min(rows - 1, _ALMOST_ALL * rows):
        reason = f"is {str(common.index[0])[:_MAX_EXAMPLE]} in {common.iloc[0]} of {rows} rows"
        return _doubtful(column, CONSTANT, reason, "categorical")
    spelled = next((each for each in spellings(sorted(set(text))) if len(each) > 1), None)
    if spelled:
        return _doubtful(column, CATEGORY, f"spells a text in several ways: {', '.join(spelled)}", "categorical")
    return _category(column, known)
