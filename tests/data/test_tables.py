"""Thirteen tables as people have them, each read as its owner would expect."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.data.dataframe import TableSettings, digest, read_frame
from src.data.datamodule import StackedDataModule
from src.data.tabular import CsvTable
from src.utils.seed_streams import seed_streams
from src.utils.validation import SettingsError

FOLDER = Path(__file__).parent / "tables"
SIZES, DATED, GRADES = ["length", "width"], ["visited", "length", "width"], ["high", "low", "medium"]
SPELLINGS = ["low", "Low", "low ", "medium", "high"]
MERGED = {"merge_labels": True, "labels": ["Low", "medium", "high"]}
CASES: list[tuple[str, str, dict[str, Any], list[str], list[Any]]] = [  # the features and the labels in order
    ("semicolon_decimal_comma", "grade", {"read": {"sep": ";", "decimal": ","}}, SIZES, GRADES),
    ("semicolon_decimal_comma", "grade", {"read": "auto"}, SIZES, GRADES),
    ("exported_index", "grade", {}, SIZES, GRADES),
    ("exported_index", "grade", {"features": ["width"]}, ["width"], ["high", "low", "medium"]),
    ("exported_index", "grade", {"drop": ["width"]}, ["length"], ["high", "low", "medium"]),
    ("text_classes", "grade", {"labels": ["low", "medium", "high"]}, SIZES, ["low", "medium", "high"]),
    ("label_variants", "grade", {"merge_labels": True}, SIZES, GRADES),
    ("label_variants", "grade", MERGED, SIZES, ["Low", "medium", "high"]),
    ("label_variants", "grade", {"labels": SPELLINGS}, SIZES, SPELLINGS),
    ("label_na", "region", {"read": {"keep_default_na": False}}, SIZES, ["AS", "EU", "NA"]),
    ("rare_class", "kind", {}, SIZES, ["common", "other", "rare"]),
    ("identifier_and_date", "outcome", {"drop": ["patient", "visited"]}, SIZES, ["no", "yes"]),
    ("identifier_and_date", "outcome", {"drop": ["patient"], "numeric": ["visited"]}, DATED, ["no", "yes"]),
    ("identifier_and_date", "outcome", {"numeric": ["visited"], "groups": "patient"}, DATED, ["no", "yes"]),
    ("latin1", "sorte", {"read": {"encoding": "latin-1"}}, ["größe", "breite"], ["herb", "süß"]),
    ("numbered_header", "target", {}, ["1", "2", "p1"], ["no", "yes"]),
    ("unseen_category_train", "kind", {}, ["colour", "length"], ["no", "yes"]),
    ("imbalanced", "fault", {}, SIZES, ["no", "yes"]),
    ("boolean_target", "passed", {}, SIZES, [False, True]),
]  # fmt: skip
REFUSED = [
    ("semicolon_decimal_comma", "grade", {}, ['data.read.sep=";"', 'data.read.decimal=","']),
    ("latin1", "sorte", {}, ["data.read.encoding=latin-1"]),
    ("label_variants", "grade", {}, ["`merge_labels`", "'Low' (10 rows)", "'low ' (10 rows)", "'low' (10 rows)"]),
    ("label_na", "region", {}, ["`read.keep_default_na`", "NA", "20 rows", "missing"]),
    ("identifier_and_date", "outcome", {}, ["data.drop=[patient,visited]", "P1000", "2024-01-01"]),
    ("text_classes", "grade", {"labels": ["low", "high"]}, ["`labels`", "high, low, medium"]),
    ("text_classes", "grade", {"drop": ["height"]}, ["`drop`", "length, width", "height"]),
    ("text_classes", "grade", {"numeric": ["width"], "categorical": ["width"]}, ["`numeric`", "data.categorical"]),
]  # fmt: skip


def opened(name: str, target: str, **settings: Any) -> CsvTable:
    path, missing = str(FOLDER / f"{name}.csv"), settings.pop("missing", "error")
    classes = len(
        read_frame(path, TableSettings(target=target, missing=missing, **_of_the_table(settings))).classes.names
    )
    return CsvTable(classes, path=path, target=target, missing=missing, sha256=digest(path), **settings)


def _of_the_table(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in TableSettings.__dataclass_fields__}


def module(table: CsvTable, seeds: range, **changes: Any) -> StackedDataModule:
    arguments = {"batch_size": 5, "test_fraction": 0.2, "val_fraction": 0} | changes
    made = StackedDataModule(table, seed_streams(list(seeds), {}), **arguments)
    made.setup()
    return made


@pytest.mark.parametrize(("name", "target", "changes", "features", "labels"), CASES)
def test_a_table_has_the_features_and_classes_that_its_owner_expects(
    name: str, target: str, changes: dict[str, Any], features: list[str], labels: list[Any]
) -> None:
    table = opened(name, target, **changes)
    assert list(table.frame.features.columns) == features
    assert table.class_names == labels
    assert list(map(type, table.class_names)) == list(map(type, labels))
    assert np.isfinite(table.x.numpy()).all()
    written = table.frame.labels.astype(str).tolist()
    named = [str(table.class_names[label]) for label in table.target.tolist()]
    assert changes.get("merge_labels") or named == written


@pytest.mark.parametrize(("name", "target", "changes", "words"), REFUSED)
def test_a_silent_guess_is_refused_in_a_line_with_the_setting(
    name: str, target: str, changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(name, target, **changes)
    [line] = str(caught.value).splitlines()
    assert all(word in line for word in words), line


def test_three_rare_samples_are_one_in_every_split_of_every_seed() -> None:
    table = opened("rare_class", "kind")
    made = module(table, range(200), val_fraction=0.1)
    for split in (made.train, made.val, made.test):
        counts = torch.nn.functional.one_hot(split.target, 3).sum(1)  # (S, C)
        assert counts.min() >= 1
    assert len({tuple(rows.tolist()) for rows in made.test_indices.sort().values}) == 200
    assert (made.test.target.shape[1], made.val.target.shape[1]) == (30, 15)


def test_a_category_that_no_sample_has_is_refused_or_none_of_these() -> None:
    new = read_frame(str(FOLDER / "unseen_category_predict.csv"), TableSettings(target="colour")).features
    new.insert(0, "colour", ["red", "violet"])
    made = module(opened("unseen_category_train", "kind"), range(1))
    with pytest.raises(SettingsError, match=r"column colour holds blue, green, red, .* got .violet in row 2"):
        made.encode(new)
    allowed = module(opened("unseen_category_train", "kind", unknown="none"), range(1))
    red, violet = allowed.encode(new)[:, :3]
    assert (red > 0).sum() == 1
    assert (violet < 0).all()
