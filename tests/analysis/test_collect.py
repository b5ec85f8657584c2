import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.analysis.collect import collect
from src.storage.schema import FAILED, RESULTS, ArtifactError
from tests.analysis.studies import write_run, write_study


def test_a_row_a_seed_with_all_metrics_as_columns(tmp_path: Path):
    collection = collect([write_study(tmp_path / "hw4", seeds=3)])
    runs = collection.runs
    assert len(runs) == 12
    assert set(runs["loss"]) == {"ce", "mse"}
    assert list(runs["label"]) == ["ce"] * 6 + ["mse"] * 6
    assert list(runs["classes"][:6]) == [2] * 3 + [4] * 3
    assert list(runs["seed"][:6]) == [0, 1, 2, 0, 1, 2]
    row = runs.iloc[4]
    stored = json.loads((Path(row["folder"]) / RESULTS).read_text())
    assert {name: row[name] for name in collection.metrics} == stored["metrics"]
    assert {name: row[name] for name in ("study", "condition", "fingerprint", "model", "data", "seconds")} == {
        name: stored[name] for name in ("study", "condition", "fingerprint", "model", "data", "seconds")
    }
    assert not any(collection.problems.values())


def model(name: str, loss: str = "ce", **options: Any) -> dict[str, Any]:
    return {"loss": loss, "model": name, "config": {"model": {"_target_": f"src.models.{name}", **options}}}


MLP, GAUSSIAN, LOGISTIC = model("mlp"), model("gaussian", "none"), model("logistic", "logistic")


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        # Swept settings, numbers in their order.
        (
            [{"config": {"optimizer": {"lr": rate}}} for rate in (0.1, 0.02, 1)],
            ["ce, lr=0.02", "ce, lr=0.1", "ce, lr=1"],
        ),
        (
            [{"config": {"model": {"hidden": [width]}}} for width in (100, 20)],
            ["ce, hidden=[20]", "ce, hidden=[100]"],
        ),
        # Models differ by their choice alone, and one that is fitted in closed form stands in place of a loss.
        ([MLP, model("linear", bias=True)], ["ce, model=linear", "ce, model=mlp"]),
        ([MLP, GAUSSIAN], ["ce, model=mlp", "gaussian"]),
        ([MLP, GAUSSIAN, LOGISTIC], ["ce, model=mlp", "logistic", "gaussian"]),
        ([GAUSSIAN], ["gaussian"]),
        # Options of a loss that others do not have.
        (
            [{"loss": "mse", "config": {"loss": {"scale": 1}}}]
            + [{"config": {"loss": {"smoothing": share}}} for share in (0.1, 0.2)],
            ["ce, smoothing=0.1", "ce, smoothing=0.2", "mse"],
        ),
        # Conditions that look alike.
        (
            [{"fingerprint": "aaaa1111"}, {"fingerprint": "bbbb2222"}, {"classes": 4, "fingerprint": "cccc3333"}],
            ["ce (aaaa1111)", "ce (bbbb2222)", "ce"],
        ),
    ],
)
def test_conditions_are_labelled_by_the_settings_that_differ(tmp_path: Path, runs, labels: list[str]):
    for changes in runs:
        write_run(tmp_path, **changes)
    table = collect([tmp_path]).runs
    assert list(table["label"]) == labels
    assert table.columns.is_unique
    if "lr" in labels[0]:
        assert list(table["optimizer.lr"]) == [0.02, 0.1, 1]


def test_failed_runs_are_listed_and_stay_in_the_table_without_metrics(tmp_path: Path):
    write_run(tmp_path, seed=0)
    folder = write_run(tmp_path, seed=1, status=FAILED, error="the loss is NaN\nat epoch 3")
    collection = collect([tmp_path])
    assert collection.failed == [f"{folder}: the loss is NaN at epoch 3"]
    assert list(collection.runs["status"]) == ["completed", "failed"]
    assert list(collection.completed["seed"]) == [0]
    assert pd.isna(collection.runs["test/accuracy"].iloc[1])
    assert collection.missing == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cannot be read"),
        (b'{"schema": 1', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[1, 2]", "expected an object"),
        (b'{"schema": 99}', "schema 99"),
        (b'{"schema": 1, "loss": "ce"}', "lacks"),
        (None, "no results.json"),
        (b"seed=4", "holds the results of seed=7"),
        (b"NaN", "test/accuracy"),
    ],
)
def test_a_damaged_file_is_one_line_and_the_rest_is_read(tmp_path: Path, content: bytes | None, expected: str):
    write_study(tmp_path, seeds=2)
    broken = write_run(tmp_path, seed=7) / RESULTS
    if content is None:
        broken.unlink()
    elif content == b"seed=4":  # another folder's results
        broken = broken.parent.rename(broken.parent.with_name("seed=4")) / RESULTS
    elif content == b"NaN":  # in place of a metric
        broken.write_text(broken.read_text().replace('"test/accuracy": ', '"test/accuracy": NaN, "x": '))
    else:
        broken.write_bytes(content)
    collection = collect([tmp_path])
    assert len(collection.runs) == 8
    (line,) = collection.unreadable
    assert expected in line
    assert "\n" not in line
    assert str(broken.parent) in line


def test_missing_seeds_are_those_that_another_condition_of_the_study_has(tmp_path: Path):
    for seed in (0, 1, 2, 3, 7):
        write_run(tmp_path / "a", "ce", seed=seed)
    write_run(tmp_path / "a", "mse", seed=2, condition="mse-x")
    (tmp_path / "a" / "bce-y" / ".hydra").mkdir(parents=True)
    write_run(tmp_path / "b", "ce", seed=20)
    assert collect([tmp_path / "a", tmp_path / "b"]).missing == [
        f"{tmp_path / 'a' / 'bce-y'}: seeds 0-3, 7",
        f"{tmp_path / 'a' / 'mse-x'}: seeds 0-1, 3, 7",
    ]


def test_a_broken_seed_is_unreadable_not_missing(tmp_path: Path):
    write_study(tmp_path, seeds=2)
    write_run(tmp_path, "ce", 2, 2)
    (write_run(tmp_path, "mse", 2, 2) / RESULTS).write_text("{")
    collection = collect([tmp_path])
    assert len(collection.unreadable) == 1
    assert not [line for line in collection.missing if "loss=mse,classes=2" in line]


def test_a_condition_of_two_studies_is_one_and_repeated_seeds_count_once(tmp_path: Path):
    first = write_run(tmp_path / "a", seed=0)
    again = write_run(tmp_path / "b", seed=0)
    write_run(tmp_path / "b", seed=1)
    collection = collect([tmp_path / "a", tmp_path / "b"])
    assert collection.runs["fingerprint"].nunique() == 1
    assert list(collection.runs["seed"]) == [0, 1]
    assert collection.repeated == [f"{again} repeats {first}"]


def test_a_study_named_twice_is_read_once_and_its_report_is_no_condition(tmp_path: Path):
    study = write_study(tmp_path / "hw4", seeds=1)
    (study / "report").mkdir()
    (study / "report" / "runs.csv").write_text("seed=1")
    collection = collect([study, study / ".." / "hw4"])
    assert len(collection.runs) == 4
    assert not any(collection.problems.values())


def test_runs_may_lack_metrics(tmp_path: Path):
    write_run(tmp_path, "ce", metrics={"test/accuracy": 0.5, "own/score": 3})
    write_run(tmp_path, "mse", metrics={"test/accuracy": 0.25, "population/accuracy": 0.5})
    collection = collect([tmp_path])
    assert collection.metrics == ["test/accuracy", "population/accuracy", "own/score"]
    assert list(collection.runs["test/accuracy"]) == [0.5, 0.25]
    assert list(collection.runs["own/score"].isna()) == [False, True]


def test_foreign_metrics_and_settings_cannot_replace_the_fixed_columns(tmp_path: Path):
    write_run(tmp_path, seed=5, metrics={"seed": 1.0, "folder": 2.0, "test/accuracy": 0.5}, config={"status": "x"})
    write_run(tmp_path, "mse", seed=5, config={"status": "y"})
    runs = collect([tmp_path]).runs
    assert runs.columns.is_unique
    assert list(runs["seed"]) == [5, 5]
    assert set(runs["status"]) == {"completed"}
    assert all(Path(folder).is_dir() for folder in runs["folder"])


def test_no_runs_give_an_empty_table_with_the_usual_columns(tmp_path: Path):
    collection = collect([tmp_path])
    assert collection.runs.empty
    assert collection.completed.empty
    assert collection.metrics == []


def test_a_study_that_is_no_folder_raises(tmp_path: Path):
    with pytest.raises(ArtifactError, match="nothing is not a folder"):
        collect([tmp_path / "nothing"])


def test_progress_sees_every_folder(tmp_path: Path):
    seen = []

    def watch(folders, description):
        for folder in folders:
            seen.append((folder.name, description))
            yield folder

    collect([write_study(tmp_path, seeds=1)], watch)
    assert seen == [("seed=0", "results")] * 4


@pytest.mark.parametrize(
    ("tables", "labels"),
    [
        ([("data/a.csv", "1" * 64), ("b.csv", "2" * 64)], ["ce, path=a.csv", "ce, path=b.csv"]),
        (
            [("data/a.csv", "1" * 64), ("old/a.csv", "2" * 64)],
            ["ce, sha256=11111111", "ce, sha256=22222222"],
        ),
    ],
)
def test_a_table_is_called_by_the_name_of_its_file(tables: Any, labels: list[str], tmp_path: Path):
    unset = {"drop": [], "read": {"sep": None}, "class_weights": "none"}  # which older runs lack
    for number, (path, sha256) in enumerate(tables):
        config = {"data": {"_target_": "src.data.tabular.CsvTable", "path": path, "sha256": sha256} | unset}
        write_run(tmp_path, data="csv", config=config)
        unset = {} if number == 0 else unset
    assert list(collect([tmp_path]).runs["label"]) == labels
