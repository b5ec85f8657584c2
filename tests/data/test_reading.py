"""Reading of files: what is found out, what is refused in a line, and what stays as it is written."""

import gzip
import logging
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest

from src.data import reading
from src.data.reading import read_table
from src.utils.validation import SettingsError

PLAIN = "size,price,grade\n1.5,10,a\n2.5,20,b\n3.5,30,a\n"


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(path: str, target: Any = "grade", read: Any = None) -> str:
    with pytest.raises(SettingsError) as caught:
        read_table(path, target, read)
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (PLAIN.replace(",", ";"), {"sep": ";"}),
        (PLAIN.replace(",", "\t"), {"sep": r"\t"}),
        (PLAIN.replace(",", "|"), {"sep": "|"}),
        (PLAIN.replace(",", "  "), {"sep": r"\s+"}),
        (PLAIN.replace(",", ";").replace(".", ","), {"sep": ";", "decimal": ","}),
        (PLAIN.replace(",10,", ',"1,000.5",').replace(",20,", ',"12,345",'), {"thousands": ","}),
        (PLAIN.replace(",", ";").replace("1.5", "1.234,5").replace("2.5", "2.000,0").replace("3.5", "4.500.000,25"),
         {"sep": ";", "thousands": ".", "decimal": ","}),
        (PLAIN.replace("a\n", "größe und maß\n").encode("latin-1"), {"encoding": "latin-1"}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
    ],
    ids=str,
)  # fmt: skip
def test_another_form_is_named_as_settings_or_read_by_auto(
    content: Any, found: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, content)
    line = refusal(path)
    words = line.partition(" to be ")[2].partition(" for this file")[0]
    named = dict(re.findall(r"data\.read\.(\w+)=\"?([^\"' ]+)", words))
    assert line.startswith("Expected `read` to be ")
    assert named == found
    given = read_table(path, "grade", named)
    with caplog.at_level(logging.INFO):
        pd.testing.assert_frame_equal(read_table(path, "grade", "auto"), given)
    assert words in caplog.text
    assert list(given.columns) == ["size", "price", "grade"]
    assert all(pd.api.types.is_numeric_dtype(given[name]) for name in ("size", "price"))


def test_numbers_that_can_be_read_in_two_ways_are_left_to_the_user(tmp_path: Path) -> None:
    path = written(tmp_path, "price;grade\n1,234;a\n2,500;b\n")
    for read in (None, "auto"):
        line = refusal(path, read=read)
        assert all(word in line for word in ('data.read.decimal=","', 'data.read.thousands=","', " or "))
    assert read_table(path, "grade", {"sep": ";", "decimal": ","})["price"].tolist() == [1.234, 2.5]
    assert read_table(path, "grade", {"sep": ";", "thousands": ","})["price"].tolist() == [1234, 2500]


def test_leading_zeros_and_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "code,size,grade\n01067,1,007\n99999,2,8\n"), "grade")
    assert table["code"].tolist() == ["01067", "99999"]
    assert table["size"].tolist() == [1, 2]
    assert table["grade"].tolist() == ["007", "8"]
    path = written(tmp_path, "code,grade\n01067,1\n99999,2\n")
    assert read_table(path, "grade", {"dtype": {"code": "int64"}})["code"].tolist() == [1067, 99999]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,a,grade\n1,2,x\n", ["different names", '"a"']),
        ("a,grade\n1,x,5\n2,y,6\n", ["data.read.index_col=0"]),
        ("a,grade\n1,x\n2,y,6,7\n", ["data.read", "line 3"]),
        ("a,grade\n1,\0x\n", ["null bytes"]),
        (b"PK\x03\x04" + bytes(range(256)) * 4, ["`path`"]),
        ('a,grade\n"1,x\n', ["data.read"]),
        ("", ["data.read"]),
    ],
)
def test_a_broken_file_is_one_line(content: Any, words: list[str], tmp_path: Path) -> None:
    line = refusal(written(tmp_path, content))
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ("guess", ["`read`", "auto"]),
        ({"converters": {"a": "os.system"}}, ["`read.converters`", "one of sep, decimal"]),
        ({"engine": "python"}, ["`read.engine`"]),
        ({"sep": "(a+)+b"}, ["`read.sep`", "one character"]),
        ({"encoding": "klingon"}, ["`read.encoding`", "latin-1"]),
        ({"encoding": "zlib"}, ["`read.encoding`"]),
        ({"dtype": {"a": "complex"}}, ["`read.dtype`", "int64"]),
        ({"skiprows": -1}, ["`read.skiprows`", "-1"]),
        ({"compression": "tar"}, ["`read.compression`", "gzip"]),
        ({"keep_default_na": "no"}, ["`read.keep_default_na`", "true or false"]),
        ({"index_col": "id"}, ["`read.index_col`", "of the columns", '"id"']),
        ({"index_col": 9}, ["`read.index_col`", "of the columns", "got 9"]),
        ({"parse_dates": ["day"]}, ["`read.parse_dates`", "of the columns", '"day"']),
        ({"dtype": {"day": "str"}}, ["`read.dtype`", "of the columns", '"day"']),
    ],
)
def test_a_wrong_argument_is_one_line(read: Any, words: list[str], tmp_path: Path) -> None:
    line = refusal(written(tmp_path, PLAIN), read=read)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("read", "content"),
    [
        ({"skiprows": 2, "comment": "#"}, "made by hand\n\n" + PLAIN + "# end\n"),
        ({"quotechar": "'"}, PLAIN.replace("a\n", "'a'\n")),
        ({"index_col": 0}, "name," + PLAIN.replace("\n", "\nx,").removesuffix("x,")),
        ({"na_values": {"price": ["none"]}}, PLAIN),
    ],
)
def test_arguments_have_the_names_and_meaning_of_pandas(read: Any, content: str, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, content), "grade", read)
    assert table.to_numpy().tolist() == [[1.5, 10, "a"], [2.5, 20, "b"], [3.5, 30, "a"]]


@pytest.mark.parametrize(
    "name", ["t.CSV", "t.csv.gz", "t.TSV", "t.JSONL", "t.arff", "t.Parquet", "t.feather", "t.xlsx"]
)
def test_the_suffix_in_any_case_tells_the_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    table = pd.DataFrame({"size": [1.5, 2.5], "grade": ["a", "b"]})
    if name.lower().endswith((".parquet", ".feather")):
        pytest.importorskip("pyarrow")
        getattr(table, f"to_{path.suffix[1:].lower()}")(path)
    elif name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
        table.to_excel(path, index=False)
    elif name == "t.JSONL":
        table.to_json(path, orient="records", lines=True)
    elif name == "t.arff":
        path.write_text("@relation t\n@attribute size numeric\n@attribute grade {b,a}\n@data\n1.5,a\n2.5,b\n")
    else:
        text = table.to_csv(index=False, sep="\t" if "TSV" in name else ",").encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    read = read_table(str(path), "grade")
    assert read["size"].tolist() == [1.5, 2.5]
    assert read["grade"].astype(str).tolist() == ["a", "b"]
    (tmp_path / f"broken{path.suffix}").write_bytes(b"\x80\0\x01 not a table")
    assert refusal(str(tmp_path / f"broken{path.suffix}")).startswith("Expected `path` to be ")


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_a_compressed_file_may_be_broken_or_a_bomb(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"table.csv.{suffix}"
    pd.DataFrame({"size": [1.5, 2.5], "grade": ["a", "b"]}).to_csv(path, index=False)
    assert read_table(str(path), "grade")["size"].tolist() == [1.5, 2.5]
    whole = path.read_bytes()
    for cut in (0, 4, len(whole) - 6):
        path.write_bytes(whole[:cut])
        assert refusal(str(path)).startswith("Expected `path` to be ")
    monkeypatch.setattr(reading, "_FREE_BYTES", 2**18)
    pd.DataFrame({"size": [0] * 150_000, "grade": ["a"] * 150_000}).to_csv(path, index=False)
    assert "grows by less than 100 times" in refusal(str(path))


@pytest.mark.parametrize("column", ["1 2 3 4 5", "1 2.5 3 4 5", "1 x 3 4 5", " x  y ", "True False  True ", "1  3 4 5"])
def test_blocks_are_read_as_the_whole_table(column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{value},{row},u\n" for row, value in enumerate(column.split(" ")))
    path = written(tmp_path, "a,b,y\n" + rows)
    whole = read_table(path, "y")
    monkeypatch.setattr(reading, "_BLOCK", 2)
    pd.testing.assert_frame_equal(read_table(path, "y"), whole)


@pytest.mark.parametrize(
    ("value", "reads"), [("0.1234567890123456", 2), ("-12.5e-5", 2), ("1234567890123456", 3), ("007", 3)]
)
def test_only_digits_that_no_number_holds_are_read_again(
    value: str, reads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, f"a,y\n{value},u\n{value},v\n")
    counted = Mock(wraps=pd.read_csv)
    monkeypatch.setattr(pd, "read_csv", counted)
    assert read_table(path, "y")["a"].tolist() == [float(value) if reads == 2 else value] * 2
    assert counted.call_count == reads  # the header, the table, and the table as text
