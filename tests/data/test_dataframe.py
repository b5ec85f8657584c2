import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.data.dataframe import Frame, TableSettings, count_classes, digest, make_frame, read_frame
from src.data.encoding import Layout
from src.utils.validation import SettingsError

KIND = TableSettings(target="kind")


def table(**changes: Any) -> pd.DataFrame:
    columns = {"width": [1.5, 2.0, 3.0, 4.5], "colour": ["red", "blue", "red", "blue"], "kind": ["b", "a", "b", "a"]}
    return pd.DataFrame(columns | changes)


def framed(features: pd.DataFrame, missing: Any = "error", target: Any = "kind", **settings: Any) -> Frame:
    return make_frame(features, TableSettings(target=target, missing=missing, **settings))


def encoded(frame: Frame, samples: pd.DataFrame | None = None) -> Any:
    """Return samples as inputs of the networks, by an encoder that is fitted on the whole table."""
    layout = Layout(frame.used)
    encoder = layout.fit(layout.codes(frame.features))
    return encoder(layout.codes(frame.features if samples is None else samples))


def refusal(features: pd.DataFrame, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        framed(features, *args, **kwargs)
    [problem] = caught.value.problems
    assert "\n" not in str(problem)
    return str(problem)


def test_numbers_stay_and_texts_become_a_column_each_in_order() -> None:
    frame = framed(table())
    assert frame.classes.names == ["a", "b"]
    assert frame.classes.target.tolist() == [1, 0, 1, 0]
    assert [(column.name, column.role, column.categories) for column in frame.columns] == [
        ("width", "number", ()),
        ("colour", "category", ("blue", "red")),
    ]
    assert encoded(frame).tolist() == [[1.5, 0, 1], [2, 1, 0], [3, 0, 1], [4.5, 1, 0]]


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([3, 1, 3, 2], [1, 2, 3], [2, 0, 2, 1]),
        ([True, False, True, True], [False, True], [1, 0, 1, 1]),
        ([2.0, 1.0, 2.0, 1.0], [1, 2], [1, 0, 1, 0]),
        ([0.5, 1.5, 1.5, 0.5], [0.5, 1.5], [0, 1, 1, 0]),
        ([2**53 + 1, 2**53, 2**53 + 1, 2**53], [2**53, 2**53 + 1], [1, 0, 1, 0]),
        ([2**70, 1, 1, 2**70], [1, 2**70], [1, 0, 0, 1]),
        (["да", "нет", "нет", "да"], ["да", "нет"], [0, 1, 1, 0]),
        (pd.to_datetime(["2024-01-02", "2023-01-01"] * 2), ["2023-01-01", "2024-01-02"], [1, 0, 1, 0]),
        ([10, 9, 9, 10], [9, 10], [1, 0, 0, 1]),
        (["10", "9", "9", "10"], ["10", "9"], [0, 1, 1, 0]),
    ],
)
def test_classes_are_the_sorted_values_of_the_target(labels: list[Any], names: list[Any], expected: list[int]) -> None:
    classes = framed(table(kind=labels)).classes
    assert (classes.names, classes.target.tolist()) == (names, expected)
    assert list(map(type, classes.names)) == list(map(type, names))


def test_missing_values_are_refused_dropped_or_kept_for_the_mean() -> None:
    gaps = table(width=[1.5, np.nan, 3.0, 4.5], colour=["red", "blue", None, "blue"])
    text = refusal(gaps.copy())
    assert text == 'Expected `missing` to be drop, mean or indicator, as width has no value in row 2, got "error".'
    assert framed(gaps.copy(), "drop").features.to_numpy().tolist() == [[1.5, "red"], [4.5, "blue"]]
    kept = framed(gaps.copy(), "mean")
    np.testing.assert_array_equal(encoded(kept), [[1.5, 0, 1], [np.nan, 1, 0], [3, np.nan, np.nan], [4.5, 1, 0]])


@pytest.mark.parametrize(
    ("changes", "target", "missing", "words"),
    [
        ({}, "shape", "error", ["`target`", "width, colour, kind", '"shape"']),
        ({}, None, "error", ["`target`", "null"]),
        ({}, "kind", "skip", ["`missing`", "error, drop, mean", '"skip"']),
        ({"kind": ["a"] * 4}, "kind", "error", ["`target`", "2 to 100 classes", "kind, which has 1"]),
        ({"kind": ["a", None, "b", "a"]}, "kind", "mean", ["`target`", "missing=drop"]),
        ({"width": [1.0, math.inf, 2.0, 3.0]}, "kind", "error", ["column width", "finite", "inf in row 2"]),
        ({"width": ["1", "2", "three", "4"]}, "kind", "error", ["column width holds numbers", "three in row 3"]),
        (
            {"width": pd.to_datetime(["2020-01-01"] * 4)},
            "kind",
            "error",
            ["data.drop=[width]", "dates", "data.numeric=[width]"],
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(changes: dict[str, Any], target: Any, missing: str, words: list[str]) -> None:
    text = refusal(table(**changes), missing, target)
    assert all(word in text for word in words), text


def test_too_many_texts_and_no_features_are_refused() -> None:
    many = pd.DataFrame({"name": [f"n{number}" for number in range(101)], "kind": ["a", "b", *["a"] * 99]})
    assert "name differs in almost every row, such as n0" in refusal(many)
    assert "has 101 different texts, more than 100" in refusal(pd.concat([many, many], ignore_index=True))
    assert "no column is left" in refusal(pd.DataFrame({"kind": [0, 1]}))


def test_new_samples_are_encoded_like_old_ones_or_refused() -> None:
    frame = framed(table())
    assert encoded(frame, pd.DataFrame({"colour": ["red"], "width": ["7"], "more": [0]})).tolist() == [[7, 0, 1]]
    with pytest.raises(SettingsError, match=r"column colour holds blue, red, .* got .green in row 1"):
        encoded(frame, pd.DataFrame({"colour": ["green"], "width": [7]}))
    with pytest.raises(SettingsError, match=r"a table with the column colour"):
        encoded(frame, pd.DataFrame({"width": [7]}))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_read_by_their_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        table().to_parquet(path)
    else:
        table().to_csv(path, index=False)
    frame = read_frame(str(path), KIND)
    assert encoded(frame).tolist() == [[1.5, 0, 1], [2, 1, 0], [3, 0, 1], [4.5, 1, 0]]
    assert count_classes(str(path), KIND) == 2
    before = digest(str(path))
    path.write_bytes(path.read_bytes() + b" ")
    assert digest(str(path)) != before


@pytest.mark.parametrize("path", [None, 3, "missing.csv", "https://localhost/table.csv", "."])
def test_a_path_that_is_no_file_is_named(path: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`path` to be an existing CSV, Parquet"):
        read_frame(path, KIND)
    assert count_classes(path, KIND) is None
    assert digest(path) is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b'a,b\n"1,2\n'])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_frame(str(tmp_path / "broken.csv"), TableSettings(target="b"))
    assert "\n" not in str(caught.value)


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def file_digest(file: Any, name: str) -> Any:
        read.append(file.name)
        return hashlib.new(name, file.read())

    monkeypatch.setattr("src.data.dataframe.hashlib.file_digest", file_digest)
    path = tmp_path / "a.csv"
    for content in (b"one", b"four", b"six"):
        new = tmp_path / "new.csv"  # another file under the name of the first, so that no clock needs to tick
        new.write_bytes(content)
        new.replace(path)
        assert {digest(path) for _ in range(3)} == {hashlib.sha256(content).hexdigest()}
    assert len(read) == 3
    path.unlink()
    assert digest(path) is None
