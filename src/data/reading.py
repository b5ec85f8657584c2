"""Reading of table files: the format by the suffix, and for CSV the arguments of ``pandas.read_csv``. Imports no torch.

A file is data: no URL is fetched, nothing is unpickled, and no argument can name code. Where a file clearly has another
separator, decimal sign or encoding than it is read with, the error names the settings that read it.
"""

import bz2
import codecs
import csv
import gzip
import io
import logging
import lzma
import re
import shlex
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pandas as pd
from charset_normalizer import from_bytes
from scipy.io import arff

from src.data.columns import is_text
from src.utils.errors import first_line
from src.utils.typed_path import typed_path
from src.utils.validation import Problem, SettingsError, check

log = logging.getLogger(__name__)

AUTO = "auto"
EXTRAS = {".parquet": "parquet", ".feather": "parquet", ".xlsx": "excel"}  # what pip install -e '.[...]' needs
FORMATS = "an existing CSV, Parquet, Feather, Excel, JSON lines or ARFF file"
_OPEN: dict[str, Callable[..., IO[bytes]]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}  # type: ignore[dict-item]
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}
_DTYPES = (
    "str",
    "string",
    "category",
    "object",
    "bool",
    "boolean",
    "int64",
    "Int64",
    "int",
    "float64",
    "Float64",
    "float",
)
_SEPARATORS = (",", ";", "\t", "|", ":")
_BLANKS = r"\s+"
_MAX_EXPANSION = 100  # times the size of a compressed file; tables grow by 3 to 20 times
_FREE_BYTES = 2**27  # up to which it may grow in any case
MAX_NAME = 200  # characters of the name of a column, beyond which a line of data is taken for the header
_SAMPLE_BYTES = 2**18  # of a file, from which its separator is found
_SAMPLE_LINES = 50
_BLOCK = 2**14  # rows that are read at once
_MAX_TITLE = 10  # lines above a table
_MAX_SNIFFED = 200  # lines, and characters of each, as the time of csv.Sniffer grows with their square
_BOMS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16"}
_BOMS |= {codecs.BOM_UTF16_BE: "utf-16"}
_SIGN = "[-+]?"
_NUMBERS = {  # how numbers are written, and the arguments that read them
    rf"{_SIGN}\d*(,\d+)?": {"decimal": ","},
    rf"{_SIGN}(\d+|[1-9]\d{{0,2}}(,\d{{3}})+)(\.\d+)?": {"thousands": ","},
    rf"{_SIGN}(\d+|[1-9]\d{{0,2}}(\.\d{{3}})+)(,\d+)?": {"decimal": ",", "thousands": "."},
}
for _mark in " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}'\N{RIGHT SINGLE QUOTATION MARK}":
    _WHOLE = rf"{_SIGN}(\d+|[1-9]\d{{0,2}}({_mark}\d{{3}})+)"
    _NUMBERS |= {rf"{_WHOLE}(\.\d+)?": {"thousands": _mark}, rf"{_WHOLE}(,\d+)?": {"decimal": ",", "thousands": _mark}}
_NOT_EXACT = r"0\d+|[-+]?\d{16,}"  # texts of digits that a number does not hold as they are written
_LONG_DIGITS = re.compile(rb"(?:^|[^0-9.])[0-9]{16,}(?:[^0-9.]|$)", flags=re.MULTILINE)
_LEADING_ZERO = re.compile(rb"(?:^|[^0-9.\w])0[0-9]+(?:[^0-9.]|$)", flags=re.MULTILINE)
Options = dict[str, Any]


def read_table(path: Any, target: Any, read: Any = None) -> pd.DataFrame:
    """Read a file: Parquet, Feather, Excel, JSON lines or ARFF by its suffix in any case, and CSV otherwise.

    Args:
        path: The file.
        target: The column of labels, which a CSV file keeps as they are written, as text.
        read: Arguments of ``pandas.read_csv`` by name, of those in ``ARGUMENTS``; null ones do not count. ``auto``
            takes those that the file seems to need, and logs them.

    Raises:
        SettingsError: If the file cannot be read, needs other arguments, or has two columns of one name.
    """
    path = existing(path)
    suffix = path.suffix.lower()
    options = _options(read)
    if suffix in _READERS:
        check(
            Problem("read", f"left out, as {path.name} is no CSV file", options) if options and read != AUTO else None
        )
        table = _attempt(path, lambda: _READERS[suffix](path))
        return _unique(table, list(table.columns))
    if suffix == ".tsv":
        options = {"sep": "\t"} | options
    return _read_csv(path, target, options, guess=read == AUTO)


def existing(path: Any) -> Path:
    """Return the path of a file that exists, which no URL is."""
    file = typed_path(path) if isinstance(path, str) and "\0" not in path else None
    if file is None or not file.is_file():
        raise SettingsError(Problem("path", FORMATS, path))
    return file


def has_raw_labels(path: Any) -> bool:
    """Return whether the labels of a file are read as they are written, which those of a CSV file are."""
    return Path(path).suffix.lower() not in _READERS


def raw_texts(path: Any, name: str, read: Any) -> pd.Series | None:
    """Return a column of a CSV file with what reads as missing, such as NA, as it is written; None where it fails."""
    given = {name: value for name, value in _options(read).items() if name not in ("na_values", "keep_default_na")}
    try:
        options = given | {"keep_default_na": False, "na_values": [""]}
        return _read_csv(existing(path), name, options, guess=read == AUTO).get(name)
    except SettingsError:
        return None


def _read_csv(path: Path, target: Any, options: Options, guess: bool) -> pd.DataFrame:
    start = _start(path, options)
    _check_expansion(path, options)
    found = _found_encoding(path, start, options)
    text = start.decode(str((options | found).get("encoding", "utf-8")), errors="replace")
    check(None if "\0" not in text else Problem("path", "a text file, and this one has null bytes", str(path)))
    found |= _found_separator(text, options | found)
    # The whole file is read twice only where it may have such texts.
    inexact = _LEADING_ZERO.search(start) is not None or _LONG_DIGITS.search(start) is not None
    layout = {"skipinitialspace": True} if _has_blanks_after(options | found, text) else {}
    table = _attempt(path, lambda: _parse(path, target, options | found | layout, inexact))
    numbers = _found_numbers(table, target, options | found)
    if len(numbers) > 1 or not guess:
        check(_needed(path, found, numbers) if found or numbers else None)
    if numbers:
        found |= numbers[0]
        table = _attempt(path, lambda: _parse(path, target, options | found | layout, inexact))
    if found:
        log.info("%s is read with %s", path.name, _words(found))
    return table


def _parse(path: Path, target: Any, options: Options, inexact: bool) -> pd.DataFrame:
    """Return what ``pandas.read_csv`` reads; labels, and digits that a number does not hold, such as 0123, as text."""
    slow = options.get("sep") == _BLANKS or not options.get("thousands", "").isascii()
    reader: Options = {"engine": "python"} if slow else {"low_memory": False}
    reader |= {"index_col": False} | options
    header = pd.read_csv(
        path, **(reader | {"index_col": False, "dtype": str, "parse_dates": False}), header=None, nrows=1
    )
    names = [str(name) for name in header.iloc[0] if not pd.isna(name)]
    check(*(_column_problem(name, options.get(name), names) for name in ("index_col", "parse_dates", "dtype")))
    dtype = reader.pop("dtype", {})
    if isinstance(dtype, Mapping):
        dtype = {target: str} | dict(dtype) if isinstance(target, str) else dict(dtype)
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        table = _unique(_read_blocks(path, reader | {"dtype": dtype}), names)
        if inexact and isinstance(dtype, dict):
            numbers = [name for name in table.select_dtypes("number").columns if name not in dtype]
            texts = pd.read_csv(path, dtype=str, **(reader | {"parse_dates": False}))[numbers]
            kept = [name for name in numbers if texts[name].str.fullmatch(_NOT_EXACT).any()]
            table[kept] = texts[kept]
    return table


def _read_blocks(path: Path, reader: Options) -> pd.DataFrame:
    """Return what ``pandas.read_csv`` reads at once, at half of its memory: block by block where their types agree."""
    with pd.read_csv(path, chunksize=_BLOCK, **reader) as blocks:
        parts = list(blocks)
    kinds = [{part.dtypes.iloc[column] for part in parts} for column in range(parts[0].shape[1])]
    if all(len(types) == 1 or {getattr(each, "kind", "") for each in types} <= {"i", "f"} for types in kinds):
        return pd.concat(parts)
    del parts
    return pd.read_csv(path, **reader)


def _column_problem(argument: str, value: Any, names: list[str]) -> Problem | None:
    """Return a problem with an argument that names a column which the table does not have."""
    columns = list(value) if isinstance(value, list | tuple | Mapping) else [value] if argument == "index_col" else []
    wrong = [
        column
        for column in columns
        if (column not in names if isinstance(column, str) else _is_count(column) and column >= len(names))
    ]
    return Problem(f"read.{argument}", f"of the columns {', '.join(names)}", wrong[0]) if wrong else None


def _unique(table: pd.DataFrame, names: list[Any]) -> pd.DataFrame:
    """Return a table whose columns have different names; pandas would number those of one name."""
    twice = [str(name) for name in pd.Series(names, dtype=str)[pd.Series(names, dtype=str).duplicated()]]
    check(Problem("path", "a table whose columns have different names", twice[0]) if twice else None)
    table.columns = table.columns.astype(str)
    long = next((name for name in table.columns if len(name) > MAX_NAME), None)
    check(Problem("path", f"a table whose columns have names of at most {MAX_NAME} characters", long) if long else None)
    return table


def _attempt(path: Path, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return what is read, or raise one line for whatever a reader raises for a broken file."""
    try:
        return read()
    except SettingsError:
        raise
    except ImportError:
        extra = EXTRAS.get(path.suffix.lower(), "parquet")
        rule = f"a CSV file; for {path.suffix}, pip install -e '.[{extra}]'"
        raise SettingsError(Problem("path", rule, str(path))) from None
    except pd.errors.ParserWarning:
        rule = "a table whose rows are no longer than its header; data.read.index_col=0 takes a first column as names"
        raise SettingsError(Problem("path", rule, str(path))) from None
    except Exception as error:  # each format's reader has errors of its own for a broken file
        rule = f"a file that can be read as its suffix says, or by data.read ({first_line(error)})"
        raise SettingsError(Problem("path", rule, str(path))) from None


def _start(path: Path, options: Options) -> bytes:
    """Return the first bytes of a file, decompressed."""
    try:
        with _open(path, options) as file:
            return file.read(_SAMPLE_BYTES)
    except (OSError, EOFError, ValueError, IndexError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise SettingsError(Problem("path", f"a file that can be read ({first_line(error)})", str(path))) from None


def _check_expansion(path: Path, options: Options) -> None:
    """Raise if a compressed file grows far beyond what a table can, before it fills the memory."""
    size, read = path.stat().st_size, 0
    with _open(path, options) as file:
        if isinstance(file, io.BufferedReader):  # not compressed
            return
        while block := _attempted_read(path, file):
            read += len(block)
            rule = f"a compressed table that grows by less than {_MAX_EXPANSION} times"
            grows = read > _FREE_BYTES and read > _MAX_EXPANSION * size
            check(Problem("path", rule, str(path)) if grows else None)


def _attempted_read(path: Path, file: IO[bytes]) -> bytes:
    try:
        return file.read(2**20)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise SettingsError(Problem("path", f"a file that can be read ({first_line(error)})", str(path))) from None


def _open(path: Path, options: Options) -> IO[bytes]:
    kind = options.get("compression", "infer")
    kind = _COMPRESSED.get(path.suffix.lower()) if kind == "infer" else kind
    if kind == "zip":
        archive = zipfile.ZipFile(path)
        return archive.open(archive.namelist()[0])
    return _OPEN[kind](path, "rb") if kind in _OPEN else path.open("rb")


def _found_encoding(path: Path, start: bytes, options: Options) -> Options:
    """Return the encoding of a file that is not the given one, if none is given and it is not UTF-8."""
    if "encoding" in options:
        return {}
    for bom, name in _BOMS.items():
        if start.startswith(bom):
            return {"encoding": name}
    if b"\0" in start and (wide := from_bytes(start).best()) and wide.encoding.startswith("utf_"):
        return {"encoding": wide.encoding}
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open(path, options) as file:
        try:
            while block := file.read(2**20):
                decoder.decode(block)
            return {}
        except UnicodeDecodeError:
            pass
    for name in ("latin-1", "cp1252"):
        if _is_western(start, name):
            return {"encoding": name}
    best = from_bytes(start).best()
    if best is None:
        raise SettingsError(Problem("path", "a text file, or one with its data.read.encoding=...", str(path)))
    return {"encoding": best.encoding}


def _is_western(start: bytes, encoding: str) -> bool:
    """Return whether bytes are words of Latin letters, of which few are not ASCII; short texts mislead statistics."""
    with suppress(UnicodeDecodeError):
        words = [word for word in re.findall(r"[^\W\d_]+|[^\x00-\x7f]", start.decode(encoding)) if not word.isascii()]
        plain = sum(letter.isascii() for word in words for letter in word)
        return all(map(str.isalpha, words)) and 4 * plain >= sum(map(len, words))
    return False


def _found_separator(text: str, options: Options) -> Options:
    """Return the separator that cuts every line alike, where the given one does not, or a comment's sign."""
    if options.get("sep") not in (None, "\t") or options.get("skiprows"):
        return {}
    lines = [line for line in text.splitlines()[: _SAMPLE_LINES + 1] if line.strip()]
    lines = lines[: -1 if len(lines) > _SAMPLE_LINES else None]
    if lines and (named := re.fullmatch(r'"?sep=(.)"?', lines[0])):  # which Excel writes and reads
        return {"skiprows": 1, "sep": named[1]}
    if len(lines) > 2 and not any(separator in lines[-1] for separator in _SEPARATORS):  # a remark below the table
        lines = lines[:-1]
    given, quote = options.get("sep", ","), options.get("quotechar", '"')
    if "comment" not in options and lines and lines[0].startswith("#") and not _parts(lines, given, quote):
        body = [line for line in lines if not line.startswith("#")]
        if any(_parts(body, each, quote) > 1 for each in _SEPARATORS):
            return {"comment": "#"} | _found_separator("\n".join(body), options)
    if _parts(lines, given, quote) > 1:
        return {}
    good = [each for each in (*_SEPARATORS, _BLANKS) if _parts(lines, each, quote) > 1]
    if not good and (skipped := _title(text, quote)):
        return {"skiprows": skipped} | _found_separator("\n".join(text.splitlines()[skipped:]), options)
    with suppress(csv.Error):  # the most common one, where several would do
        short = "\n".join(line[:_MAX_SNIFFED] for line in lines[:_MAX_SNIFFED])
        likely = csv.Sniffer().sniff(short, "".join(_SEPARATORS)).delimiter
        good = [likely] if likely in good else good
    return {"sep": good[0]} if good and good[0] != given else {}


def _title(text: str, quote: str) -> int:
    """Return how many lines above a table have no separator, such as a title, or 0."""
    lines = text.splitlines()[:_SAMPLE_LINES]
    full = [index for index, line in enumerate(lines) if line.strip()]
    for start in range(1, min(len(full) - 2, _MAX_TITLE)):
        above, body = ([lines[index] for index in part] for part in (full[:start], full[start:]))
        if any(separator in line for separator in _SEPARATORS for line in above):
            return 0
        if any(_parts(body, separator, quote) > 1 for separator in _SEPARATORS):
            return full[start]
    return 0


def _has_blanks_after(options: Options, text: str) -> bool:
    """Return whether every separator is followed by a blank, which then is no part of the values."""
    separator = re.escape(options.get("sep", ","))
    lines = [line for line in text.splitlines()[:_SAMPLE_LINES] if re.search(separator, line)]
    return (
        bool(lines)
        and separator != re.escape(_BLANKS)
        and not any(re.search(separator + r"\S", line) for line in lines)
    )


def _parts(lines: list[str], separator: str, quote: str) -> int:
    """Return into how many parts a separator cuts every line, or 0 where the lines differ."""
    try:
        rows = (
            [line.split() for line in lines]
            if separator == _BLANKS
            else list(csv.reader(lines, delimiter=separator, quotechar=quote, strict=True))
        )
    except csv.Error:
        return 0
    # A separator at the end of each row below the header ends the row.
    rows = [row[:-1] if len(row) == len(rows[0]) + 1 and not row[-1].strip() else row for row in rows]
    lengths = {len(row) for row in rows}
    return lengths.pop() if len(lengths) == 1 and len(lines) > 1 else 0


def _found_numbers(table: pd.DataFrame, target: Any, options: Options) -> list[Options]:
    """Return the arguments that turn columns of texts such as 1,5 into numbers; several where it cannot be told."""
    if options.keys() & {"decimal", "thousands"}:
        return []
    texts = (table[name].dropna().astype(str) for name in table.columns if name != target and is_text(table[name]))
    found = [
        [each for form, each in _NUMBERS.items() if column.str.fullmatch(form).all()]
        for column in texts
        if column.str.contains(r"[,.\s'\N{RIGHT SINGLE QUOTATION MARK}]").any()
    ]
    common = [each for each in _NUMBERS.values() if all(each in fitting for fitting in found if fitting)]
    common = common if any(found) else []
    return [each for each in common if not any(other.items() < each.items() for other in common)]


def _needed(path: Path, found: Options, numbers: list[Options]) -> Problem:
    """Return the problem of a file that needs other arguments, all of which it names."""
    words = " or ".join(_words(found | each) for each in numbers or [{}])
    rule = f"{words} for this file" + (", or data.read=auto" if len(numbers) < 2 else "")
    return Problem("read", rule, str(path))


def _words(options: Options) -> str:
    """Return arguments as they are typed on a command line."""
    plain = {name: {"\t": r"\t"}.get(value, value) for name, value in options.items()}
    return " ".join(
        f"data.read.{name}={value}"
        if re.fullmatch(r"[\w-]+", str(value))
        else shlex.quote(f'data.read.{name}="{value}"')
        for name, value in plain.items()
    )


def _options(read: Any) -> Options:
    """Return the arguments that are given, checked."""
    if read is None or read == AUTO:
        return {}
    check(None if isinstance(read, Mapping) else Problem("read", f"{AUTO}, or arguments of pandas.read_csv", read))
    given = {str(name): value for name, value in read.items() if value is not None}
    unknown = [name for name in given if name not in ARGUMENTS]
    check(Problem(f"read.{unknown[0]}", f"one of {', '.join(ARGUMENTS)}", given[unknown[0]]) if unknown else None)
    for name, value in given.items():
        rule, good = ARGUMENTS[name]
        check(None if good(value) else Problem(f"read.{name}", rule, value))
    return given | ({"sep": "\t"} if given.get("sep") == r"\t" else {})


def _is_character(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1


def _is_encoding(value: Any) -> bool:
    try:
        "".encode(value)  # which codecs of bytes, such as zlib, refuse
        return True
    except (LookupError, TypeError, ValueError):
        return False


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_list(value: Any, good: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(map(good, value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_missing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_scalar(each) or _is_list(each, _is_scalar) for each in value.values())
    return _is_scalar(value) or _is_list(value, _is_scalar)


def _is_dtype(value: Any) -> bool:
    return all(each in _DTYPES for each in (value.values() if isinstance(value, Mapping) else [value]))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) or _is_count(value)


ARGUMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "sep": (
        rf"one character, \t or {_BLANKS}",
        lambda value: _is_character(value) or value in (r"\t", _BLANKS),
    ),
    "decimal": ("one character", _is_character),
    "thousands": ("one character", _is_character),
    "encoding": ("a text encoding that Python knows, such as latin-1", _is_encoding),
    "na_values": ("a text or number, a list of such, or these by column", _is_missing),
    "keep_default_na": ("true or false", lambda value: isinstance(value, bool)),
    "index_col": ("the name or number of a column, or false", lambda value: value is False or _is_name(value)),
    "dtype": (f"one of {', '.join(_DTYPES)}, or these by column", _is_dtype),
    "parse_dates": (
        "true, false or a list of columns",
        lambda value: isinstance(value, bool) or _is_list(value, _is_name),
    ),
    "skiprows": (
        "a number of lines, or a list of line numbers",
        lambda value: _is_count(value) or _is_list(value, _is_count),
    ),
    "comment": ("one character", _is_character),
    "quotechar": ("one character", _is_character),
    "compression": (
        "infer, gzip, bz2, xz or zip",
        lambda value: value in ("infer", "zip", *_OPEN),
    ),
}


def _read_arff(path: Path) -> pd.DataFrame:
    """Read ARFF by scipy; nominal attributes are categories in their declared order."""
    data, meta = arff.loadarff(io.StringIO(path.read_text(encoding="utf-8")))
    table = pd.DataFrame(data)
    for name in meta.names():
        kind, values = meta[name]
        if kind == "nominal":
            texts = table[name].str.decode("utf-8")
            table[name] = pd.Categorical(texts.where(texts != "?"), categories=list(values))
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path, to_pandas_kwargs={"split_blocks": True, "self_destruct": True})  # not held twice
    import pyarrow  # an optional extra

    pyarrow.default_memory_pool().release_unused()
    return table


def _read_json(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, convert_dates=False, precise_float=True, encoding="utf-8")


def _read_excel(path: Path) -> pd.DataFrame:
    return pd.read_excel(path, engine="openpyxl")


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": _read_parquet,
    ".feather": pd.read_feather,
    ".xlsx": _read_excel,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".arff": _read_arff,
}
