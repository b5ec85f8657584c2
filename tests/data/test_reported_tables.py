"""Kinds of tables that users of pandas, skrub, pytorch-tabular and TabPFN reported; each rebuilt small."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.data.columns import numbers
from src.data.dataframe import Frame, TableSettings, read_frame
from src.utils.validation import SettingsError

ROWS = range(24)


def table(header: str, row: Callable[[int], str], ending: str = "") -> str:
    """Return a table whose last column, y, is no or yes."""
    return f"{header},y\n" + "".join(f"{row(index)},{'yes' if index % 2 else 'no'}{ending}\n" for index in ROWS)


def opened(folder: Path, content: str | bytes, **settings: Any) -> Frame:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(str(path), TableSettings(target="y", **settings))


def refusal(folder: Path, content: str | bytes, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        opened(folder, content, **settings)
    [line] = str(caught.value).splitlines()
    return line


# github.com/pandas-dev/pandas/issues/14124: a separator ends every row but the header, and the columns shift.
def test_a_separator_at_the_end_of_each_row_shifts_no_column(tmp_path: Path) -> None:
    frame = opened(tmp_path, table("a,b", lambda row: f"{row % 7},{row / 2}", ending=","))
    assert frame.features["a"].tolist() == [row % 7 for row in ROWS]
    assert frame.features["b"].tolist() == [row / 2 for row in ROWS]


# github.com/pandas-dev/pandas/issues/41304: the same with semicolons, decimal numbers in quotes and Cyrillic names.
def test_the_separator_of_such_a_table_is_found(tmp_path: Path) -> None:
    content = table('"Время","T"', lambda row: f'"{row % 9 + 1:02d}.05.2021 09:00","{row * 0.7:.1f}"', ending=",")
    content = content.replace(",", ";")
    assert "data.read.sep=" in refusal(tmp_path, content)
    frame = opened(tmp_path, content, read="auto", drop=["Время"])
    np.testing.assert_allclose(frame.features["T"], [round(row * 0.7, 1) for row in ROWS])


# github.com/pandas-dev/pandas/issues/32134 and 48170: large integers beside gaps lose their last digits.
def test_large_integers_keep_their_digits(tmp_path: Path) -> None:
    first = 1582218195625938945
    content = table("key", lambda row: str(first + row % 4) if row % 5 else "")
    frame = opened(tmp_path, content, missing="drop")
    [column] = frame.columns
    assert column.categories == tuple(str(first + each) for each in range(4))
    labels = f"a,y\n{''.join(f'{row / 4},{first + row % 2}{chr(10)}' for row in ROWS)}9,\n"
    assert opened(tmp_path, labels, missing="drop").classes.names == [first, first + 1]


# github.com/pandas-dev/pandas/issues/2697: one number in scientific form changes the others of its column.
def test_identifiers_beside_one_in_scientific_form_are_no_numbers(tmp_path: Path) -> None:
    content = table("key", lambda row: "1352171357E+5" if row == 3 else str(135217135789158401 + row))
    assert "135217135789158401" in refusal(tmp_path, content)


# github.com/pandas-dev/pandas/issues/52493: the text None is a value for its owner.
def test_a_text_that_reads_as_missing_is_named(tmp_path: Path) -> None:
    content = table("colour", lambda row: ["None", "red", "blue"][row % 3])
    line = refusal(tmp_path, content)
    assert all(word in line for word in ("None in row 1 of colour", "data.read.keep_default_na=false", "indicator"))
    [column] = opened(tmp_path, content, read={"keep_default_na": False}).columns
    assert column.categories == ("None", "blue", "red")
    assert opened(tmp_path, content, missing="mean").features["colour"].isna().sum() == 8


# github.com/skrub-data/skrub/issues/768: day and month are told apart by the column, not row by row.
def test_dates_are_read_alike_in_all_rows(tmp_path: Path) -> None:
    content = table("when,a", lambda row: f"{row % 28 + 1:02d}/03/2023,{row % 5}")
    frame = opened(tmp_path, content, numeric=["when"])
    assert np.diff(numbers("when", frame.features["when"])).tolist() == [1.0] * (len(ROWS) - 1)


# github.com/PriorLabs/TabPFN/pull/1002: a column without any value.
@pytest.mark.parametrize("missing", ["error", "mean", "indicator"])
def test_a_column_without_values_is_no_feature(missing: str, tmp_path: Path) -> None:
    frame = opened(tmp_path, table("a,empty", lambda row: f"{row % 7},"), missing=missing)
    assert list(frame.features.columns) == ["a"]
    assert [column.note for column in frame.columns] == ["", "has no values"]


# github.com/PriorLabs/TabPFN/issues/138 and 545: missing texts and truth values.
def test_missing_texts_and_truth_values_are_missing_categories(tmp_path: Path) -> None:
    content = table("flag,word", lambda row: f"{['True', 'False', ''][row % 3]},{['a', 'b', 'c', ''][row % 4]}")
    frame = opened(tmp_path, content, missing="indicator")
    assert [column.categories for column in frame.columns] == [("False", "True"), ("a", "b", "c")]
    assert [column.missing for column in frame.columns] == [8, 6]


# github.com/pytorch-tabular/pytorch_tabular/issues/23: columns that are named by numbers.
def test_columns_may_be_named_by_numbers(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame({0: [1.5, 2, 3, 4] * 5, 1: [1, 2, 3, 5] * 5, 2: [7, 9] * 10}).to_csv(path, index=False)
    frame = read_frame(str(path), TableSettings(target="2"))
    assert (list(frame.features.columns), frame.classes.names) == (["0", "1"], [7, 9])


# github.com/pytorch-tabular/pytorch_tabular/issues/21: the target among the features.
def test_the_target_is_no_feature(tmp_path: Path) -> None:
    content = table("a,b", lambda row: f"{row % 7},{row % 3}")
    assert "`features`" in refusal(tmp_path, content, features=["a", "y"])
    assert list(opened(tmp_path, content).features.columns) == ["a", "b"]


# github.com/OpenTabular/DeepTab/issues/409: labels that are not 0, 1, 2.
@pytest.mark.parametrize("labels", [[10, 20, 30], [-1, 1], [5, 7]])
def test_whole_numbers_are_labels_as_they_are(labels: list[int], tmp_path: Path) -> None:
    content = "a,y\n" + "".join(f"{row % 7},{labels[row % len(labels)]}\n" for row in ROWS)
    classes = opened(tmp_path, content).classes
    assert classes.names == labels
    assert [classes.names[label] for label in classes.target] == [labels[row % len(labels)] for row in ROWS]


# github.com/pandas-dev/pandas/issues/21768: columns apart by blanks, with blanks at the end of the lines.
def test_blanks_may_separate_columns_and_end_lines(tmp_path: Path) -> None:
    content = table("a,b", lambda row: f"{row % 7},{row / 2}", ending="  ").replace(",", "   ")
    assert r"data.read.sep=" in refusal(tmp_path, content)
    assert opened(tmp_path, content, read="auto").features["b"].tolist() == [row / 2 for row in ROWS]


def test_blanks_after_separators_are_no_part_of_names_and_values(tmp_path: Path) -> None:
    content = table("a,work", lambda row: f"{row % 7},{['Private', 'State', '?'][row % 3]}").replace(",", ", ")
    frame = opened(tmp_path, content, read={"na_values": ["?"]}, missing="indicator")
    assert [column.name for column in frame.columns] == ["a", "work"]
    assert frame.columns[1].categories == ("Private", "State")
    assert frame.classes.names == ["no", "yes"]


def test_lines_above_the_header_are_found(tmp_path: Path) -> None:
    content = "Report of 2024\n\n" + table("a,b", lambda row: f"{row % 7},{row / 2}")
    assert "data.read.skiprows=2" in refusal(tmp_path, content)
    expected = [row / 2 for row in ROWS]
    for read in ("auto", {"skiprows": 2}):
        assert opened(tmp_path, content, read=read).features["b"].tolist() == expected


@pytest.mark.parametrize(("sign", "value"), [("${:,.2f}", "$1,000.00"), ("{:.1f} %", "1000.0 %"), ("€{:.0f}", "€1000")])
def test_amounts_with_a_sign_are_numbers_where_asked(sign: str, value: str, tmp_path: Path) -> None:
    content = table("price", lambda row: f'"{sign.format(1000 + row * 37)}"')
    line = refusal(tmp_path, content)
    assert value in line
    assert "data.numeric=[price]" in line
    frame = opened(tmp_path, content, numeric=["price"])
    assert numbers("price", frame.features["price"]).tolist() == [1000 + row * 37 for row in ROWS]


def test_a_sign_for_no_value_is_answered_with_its_setting(tmp_path: Path) -> None:
    content = table("a", lambda row: "?" if row == 4 else str(row % 7))
    line = refusal(tmp_path, content)
    assert """'data.read.na_values=["?"]'""" in line
    assert "? in row 5" in line
    assert opened(tmp_path, content, read={"na_values": ["?"]}, missing="mean").features["a"].isna().sum() == 1


def rows(header: str, row: Callable[[int], str]) -> str:
    """Return a table whose rows say all of their columns."""
    return f"{header}\n" + "".join(f"{row(index)}\n" for index in ROWS)


SUMS = rows("site|mass|y", lambda row: f"{'uv'[row % 2]}|{row / 2}|{'no' if row % 3 else 'yes'}")
JAPANESE = rows("地域,値,y", lambda row: f"{['東京', '大阪', '名古屋'][row % 3]},{row / 2},{'高低'[row % 2]}")
STREETS = ["Main Street\nBonn", "High Street\nKiel"]
FRENCH = rows("surface;y", lambda row: f"{1 + row % 7}\N{NARROW NO-BREAK SPACE}200,5;{'no' if row % 2 else 'yes'}")

# What the owner of each table expects: features by role, with categories where it has some, and classes; or the words
# of the one line that refuses it.
REPORTED: dict[str, tuple[str | bytes, dict[str, Any], dict[str, Any] | list[str]]] = {
    # github.com/pandas-dev/pandas/issues/5232: a line below the table that is no row.
    "remark below the table": (
        SUMS + "29 rows\n",
        {"read": "auto", "missing": "drop"},
        {"site": ("u", "v"), "mass": "number", "y": ["no", "yes"]},
    ),
    "separator above a remark": (SUMS + "29 rows\n", {}, ['data.read.sep="|"', "data.read=auto"]),
    # github.com/pandas-dev/pandas/issues/7340: the sign for the end of a file, which old programs of Windows write.
    "end of file sign": (
        table("a,b", lambda row: f"{row % 7},{row / 2}") + "\x1a",
        {},
        ["column a", "in row 25", "data.read.skiprows=[25]"],
    ),
    "end of file sign, left out": (
        table("a,b", lambda row: f"{row % 7},{row / 2}") + "\x1a",
        {"read": {"skiprows": [25]}},
        {"a": "number", "b": "number", "y": ["no", "yes"]},
    ),
    # github.com/pandas-dev/pandas/issues/10898: units below the names of the columns.
    "units": (
        table("mass,speed", lambda row: f"{row % 7},{row / 2}").replace("y\n", "y\nkg,m/s,\n", 1),
        {},
        ["column mass", "kg in row 1", "data.read.skiprows=[1]"],
    ),
    "units, left out": (
        table("mass,speed", lambda row: f"{row % 7},{row / 2}").replace("y\n", "y\nkg,m/s,\n", 1),
        {"read": {"skiprows": [1]}},
        {"mass": "number", "speed": "number", "y": ["no", "yes"]},
    ),
    # github.com/pandas-dev/pandas/issues/12775: lines within quotes.
    "lines within quotes": (
        table("a,place", lambda row: f'{row % 7},"{STREETS[row // 2 % 2]}"'),
        {},
        {"a": "number", "place": tuple(sorted(STREETS)), "y": ["no", "yes"]},
    ),
    # github.com/pandas-dev/pandas/issues/13652: Japanese as Windows writes it.
    "Japanese": (JAPANESE.encode("cp932"), {}, ["data.read.encoding=cp932", "data.read=auto"]),
    "Japanese, found": (
        JAPANESE.encode("cp932"),
        {"read": "auto"},
        {"地域": ("名古屋", "大阪", "東京"), "値": "number", "y": ["低", "高"]},
    ),
    # github.com/pandas-dev/pandas/issues/14403: numbers as a European Excel writes them.
    "French numbers": (FRENCH, {}, ['data.read.sep=";"', "data.read.decimal=", "data.read.thousands="]),
    "French numbers, found": (FRENCH, {"read": "auto"}, {"surface": "number", "y": ["no", "yes"]}),
    "Swiss numbers, found": (
        table("price", lambda row: f"{1 + row % 7}'{row + 100}"),
        {"read": "auto"},
        {"price": "number", "y": ["no", "yes"]},
    ),
    # Excel's own line about the separator, as in github.com/mholt/PapaParse/issues/951.
    "separator by Excel": (
        "sep=;\n" + table("a,b", lambda row: f"{row % 7},{row / 2}").replace(",", ";"),
        {"read": "auto"},
        {"a": "number", "b": "number", "y": ["no", "yes"]},
    ),
    # github.com/PriorLabs/TabPFN/issues/144 and pull/1085: an infinite value.
    "infinity": (
        table("ratio", lambda row: "inf" if row == 5 else str(row / 3)),
        {},
        ["column ratio", "inf in row 6", "data.read.na_values=[inf,-inf]"],
    ),
    "infinity, missing": (
        table("ratio", lambda row: ["inf", "-inf", str(row / 3)][min(row, 2)]),
        {"read": {"na_values": [float("inf"), -float("inf")]}, "missing": "mean"},
        {"ratio": "number", "y": ["no", "yes"]},
    ),
    # github.com/skrub-data/skrub/issues/746: dates, some of which have a time.
    "dates of two kinds": (
        table("when", lambda row: f"2022-10-{row + 1:02d}{'' if row % 3 else ' 12:00:00'}"),
        {},
        ["when holds dates", "data.drop=[when]", "data.numeric=[when]"],
    ),
    # github.com/skrub-data/skrub/issues/555: dates that are not recognised, with the names of months.
    "names of months": (
        table("hired", lambda row: f"{1 + row % 4} {['Jan', 'Oct'][row % 2]} 2022"),
        {},
        ["hired holds dates", "data.numeric=[hired]"],
    ),
    # github.com/skrub-data/skrub/issues/622: numbers and texts in one column.
    "numbers beside texts": (
        table("road", lambda row: ["98", "7", "B12"][row % 3]),
        {},
        ["column road", "B12 in row 3", "data.categorical=[road]"],
    ),
    # github.com/skrub-data/skrub/pull/677: one category in several spellings.
    "spellings": (
        table("smoker", lambda row: ["yes", "no", "Yes ", "NO"][row % 4]),
        {},
        ["smoker spells a text in several ways: NO, no", "data.categorical=[smoker]"],
    ),
    # github.com/pandas-dev/pandas/issues/9067: blanks around the name of a column.
    "blanks in the target's name": (
        table("a", lambda row: str(row % 7)).replace("y\n", " y \n", 1),
        {},
        ["`target`", "' y '"],
    ),
}


@pytest.mark.parametrize(("content", "settings", "expected"), REPORTED.values(), ids=REPORTED)
def test_a_reported_table_does_what_its_owner_expects(
    content: str | bytes, settings: dict[str, Any], expected: dict[str, Any] | list[str], tmp_path: Path
) -> None:
    if isinstance(expected, list):
        line = refusal(tmp_path, content, **settings)
        assert [word for word in expected if word not in line] == []
        return
    frame = opened(tmp_path, content, **settings)
    found = {column.name: column.categories or column.role for column in frame.used}
    assert found | {"y": frame.classes.names} == expected
    assert len(frame.labels) == len(ROWS)
