"""Mutated tables: each is read rightly or refused in a line, and none crashes."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data.dataframe import TableSettings, digest, read_frame
from src.data.tabular import CsvTable
from src.utils.validation import SettingsError
from tests.commands import parametrize

SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1")
LABELS = (
    *(["a", "b"], ["0", "1"], ["1.0", "2.0"], ["True", "False"], ["low", "Low"], ["NA", "x"], ["日本", "中国"]),
    *(["1152921504606846976", "1152921504606846977"], ["01", "1"], ["", "z"]),
)
CELLS: tuple[Callable[[random.Random, int], str], ...] = (
    lambda draw, row: f"{draw.gauss(0, 3):.3f}",
    lambda draw, row: str(draw.randint(-5, 9)),
    lambda draw, row: draw.choice(["red", "blü", "grün, x", 'q"q', "NA", ""]),
    lambda draw, row: f"2024-0{draw.randint(1, 9)}-11",
    lambda draw, row: f"P{7 * row}",
    lambda draw, row: f"0{draw.randint(10, 99)}",
    lambda draw, row: draw.choice(["1", "2", "x"]),
    lambda draw, row: "",
)


def quoted(cell: str, separator: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(each in cell for each in (separator, '"', "\n")) else cell


def joined(rows: list[list[str]], separator: str) -> str:
    return "\n".join(separator.join(quoted(cell, separator) for cell in row) for row in rows) + "\n"


def drawn(draw: random.Random) -> list[list[str]]:
    kinds = draw.choices(CELLS, k=draw.randint(1, 4))
    labels = draw.choice(LABELS)
    rows = [[*(kind(draw, row) for kind in kinds), draw.choice(labels)] for row in range(draw.randint(6, 40))]
    return [[*(f"c{index}" for index in range(len(kinds))), "y"], *rows]


MUTATIONS: tuple[Callable[[list[str], int, str], list[str]], ...] = (
    lambda lines, at, separator: [*lines[:at], lines[at] + separator + "extra", *lines[at + 1 :]],
    lambda lines, at, separator: [*lines[:at], lines[at].rpartition(separator)[0], *lines[at + 1 :]],
    lambda lines, at, separator: [lines[0].replace("c0", "y"), *lines[1:]],
    lambda lines, at, separator: [*lines[:at], '"' + lines[at], *lines[at + 1 :]],
    lambda lines, at, separator: [*lines[:at], lines[at][:3] + "\0" + lines[at][3:], *lines[at + 1 :]],
    lambda lines, at, separator: [*lines[:at], lines[at] + "x" * 200_000, *lines[at + 1 :]],
    lambda lines, at, separator: [*lines[:at], "", *lines[at:]],
    lambda lines, at, separator: ["# a comment, or a title", *lines],
    lambda lines, at, separator: [line.replace(".", ",") for line in lines],
    lambda lines, at, separator: [*lines[:at], lines[at].replace(separator, "\r"), *lines[at + 1 :]],
    lambda lines, at, separator: lines[1:],
    lambda lines, at, separator: [line.replace("1", "inf").replace("2", "nan") for line in lines],
    lambda lines, at, separator: [line + separator for line in lines],
    lambda lines, at, separator: lines[:at],
)


def mutated(draw: random.Random) -> bytes:
    separator = draw.choice((*SEPARATORS, " ", ":"))
    lines = joined(drawn(draw), separator).split("\n")
    for mutation in draw.choices(MUTATIONS, k=draw.randint(0, 3)):
        lines = mutation(lines, draw.randrange(len(lines)), separator) or [""]
    content = "\n".join(lines).encode(draw.choice((*ENCODINGS, "utf-16-le", "cp1251", "shift_jis")), errors="replace")
    if draw.random() < 0.2:
        content = content.replace(b"\n", draw.choice([b"\r\n", b"\r"]))
    if draw.random() < 0.2:
        at = draw.randrange(len(content) + 1)
        content = content[:at] + draw.randbytes(draw.randint(1, 5)) + content[at + draw.randint(0, 5) :]
    return content


@parametrize("seeds", [range(60), range(60, 2000)], quick=1)
def test_a_mutated_table_is_read_or_refused_in_a_line(seeds: range, tmp_path: Path) -> None:
    outcomes = []
    for seed in seeds:
        draw = random.Random(seed)  # noqa: S311 - of tests
        path = tmp_path / draw.choice(["t.csv", "t.txt", "t.TSV"])
        path.write_bytes(mutated(draw))
        read, missing = draw.choice([None, "auto", {"keep_default_na": False}]), draw.choice(["error", "drop", "mean"])
        try:
            frame = read_frame(str(path), TableSettings(target="y", read=read, missing=missing))
            arguments = {
                "path": str(path),
                "target": "y",
                "missing": missing,
                "sha256": digest(str(path)),
                "read": read,
            }
            table = CsvTable(len(frame.classes.names), **arguments)
        except SettingsError as error:
            [line] = str(error).splitlines()
            assert len(line) < 2000
            outcomes.append("refused")
            continue
        outcomes.append("read")
        assert not table.x.isinf().any()
        assert set(table.target.tolist()) == set(range(table.classes))
    assert set(outcomes) == {"read", "refused"}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_auto_reads_what_was_written(separator: str, encoding: str, newline: str, tmp_path: Path) -> None:
    draw = random.Random(f"{separator}{encoding}{newline}")  # noqa: S311 - of tests
    names = draw.sample(["blau, grün", "rot; weiß", 'g"elb', "schwarz"], 3)
    rows = [
        [f"{draw.gauss(0, 3):.3f}", names[row % 3], str(draw.randint(0, 9)), "ja" if row % 2 else "nö"]
        for row in range(30)
    ]
    path = tmp_path / "table.csv"
    path.write_bytes(
        joined([["größe", "farbe", "zahl", "y"], *rows], separator).replace("\n", newline).encode(encoding)
    )
    frame = read_frame(str(path), TableSettings(target="y", read="auto"))
    assert list(frame.features.columns) == ["größe", "farbe", "zahl"]
    np.testing.assert_allclose(frame.features["größe"], [float(row[0]) for row in rows], atol=1e-12)
    assert frame.features["farbe"].tolist() == [row[1] for row in rows]
    assert frame.features["zahl"].tolist() == [int(row[2]) for row in rows]
    assert [frame.classes.names[label] for label in frame.classes.target] == [row[3] for row in rows]
