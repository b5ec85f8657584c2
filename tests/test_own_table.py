"""A run on a file keeps what evaluation and prediction need, whatever becomes of the file."""

import contextlib
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.singleton import Singleton

from scripts import aggregate
from src import evaluate
from src.analysis.confusion_files import read_confusion
from src.experiments import run
from src.experiments.loading import load_run
from src.storage.schema import TABLE, ArtifactError, read_results
from src.utils.validation import SettingsError

TABLES = Path(__file__).parent / "data" / "tables"
SHORT = ("trainer.max_epochs=2", "figures=none", "export=none")


@pytest.fixture
def place(tmp_path, monkeypatch, hydra_restore_singletons):
    """Return a directory with copies of the tables, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for path in TABLES.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a directory with a seed that was trained on a table with categories."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copy(TABLES / "unseen_category_train.csv", folder)
    before = Singleton.get_state()
    with contextlib.chdir(folder):
        trained("unseen_category_train", "kind")
    Singleton.set_state(before)
    return folder / "outputs"


@pytest.fixture
def coloured(study, place):
    """Return the directory of a copy of that seed, below the current one."""
    [folder] = shutil.copytree(study, place / "outputs").glob("*/*/seed=0")
    return folder


def trained(name: str, target: str, *words: str) -> Path:
    """Train one seed on a table and return its directory."""
    runs = run("data=csv", f"data.path={name}.csv", f"data.target={target}", *SHORT, *words)
    return Path(runs["folder"].iloc[0])


def test_labels_keep_their_names_in_results_predictions_and_evaluation(place, capsys):
    folder = trained("text_classes", "grade", "loss=mse", "data.labels=[low,medium,high]")
    assert read_results(folder).class_names == ["low", "medium", "high"]
    predictions = pd.read_csv(folder / "predictions.csv")
    table = pd.read_csv("text_classes.csv").iloc[json.loads((folder / TABLE).read_text())["splits"]["test"]]
    assert predictions["target"].tolist() == table["grade"].tolist()
    assert set(predictions["pred"]) <= {"low", "medium", "high"}
    assert predictions["correct"].tolist() == (predictions["pred"] == predictions["target"]).astype(int).tolist()
    assert evaluate.main([f"run={folder}"]) == 0


def test_booleans_and_names_like_those_of_predictions_stay(place):
    folder = trained("boolean_target", "passed")
    assert read_results(folder).class_names == [False, True]
    assert set(pd.read_csv(folder / "predictions.csv").columns) > {"pred", "p_False", "p_True"}
    folder = trained("numbered_header", "target")
    columns = ["1", "2", "p1", "target", "pred", "correct", "p_no", "p_yes"]
    assert list(pd.read_csv(folder / "predictions.csv").columns) == columns
    table = pd.read_csv("numbered_header.csv").assign(target=lambda each: (each["target"] == "yes").astype(int))
    table.rename(columns={"1": "pred"}).to_csv("clash.csv", index=False)
    folder = trained("clash", "target")
    columns = ["feature.pred", "2", "feature.p1", "target", "pred", "correct", "p0", "p1"]
    assert list(pd.read_csv(folder / "predictions.csv").columns) == columns
    assert evaluate.main([f"run={folder}", "samples=clash.csv", "out=out.csv"]) == 0
    assert list(pd.read_csv("out.csv").columns) == ["feature.pred", "2", "feature.p1", "target", "pred", "p0", "p1"]


def test_a_category_that_training_never_saw_is_a_line_or_none_of_these(coloured, capsys):
    words = [f"run={coloured}", "samples=unseen_category_predict.csv", "out=out.csv"]
    assert evaluate.main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "column colour holds blue, green, red" in line
    assert line.endswith('got "violet in row 2".')
    assert not Path("out.csv").exists()
    assert evaluate.main([*words, "unknown=none"]) == 0
    assert pd.read_csv("out.csv")["pred"].isin(["no", "yes"]).all()
    pd.DataFrame({"colour": ["red"]}).to_csv("narrow.csv", index=False)
    assert evaluate.main([f"run={coloured}", "samples=narrow.csv", "out=out.csv"]) == 2
    assert "a table with the column length" in capsys.readouterr().err


def test_predictions_outlive_the_file_and_metrics_need_its_content(coloured, capsys):
    folder = coloured
    samples = pd.read_csv("unseen_category_train.csv").head(3)
    before = load_run(folder).predict(samples)
    moved = Path("unseen_category_train.csv").rename("moved.csv")
    pd.testing.assert_frame_equal(load_run(folder).predict(samples), before)
    assert evaluate.main([f"run={folder}"]) == 2
    assert "'unseen_category_train.csv' is missing; data=FILE names" in capsys.readouterr().err
    assert evaluate.main([f"run={folder}", f"data={moved}"]) == 0
    assert "the table is read from moved.csv" in capsys.readouterr().out
    assert evaluate.main([f"run={folder}", "data=latin1.csv"]) == 2
    with pytest.raises(ArtifactError, match="is missing"):
        load_run(folder).recompute_metrics()


def test_a_copy_of_the_file_is_read_when_it_has_changed(place, capsys):
    folder = trained("exported_index", "grade", "data.copy=true")
    Path("exported_index.csv").write_text("a,grade\n1.5,x\n2,y\n")
    assert evaluate.main([f"run={folder}"]) == 0
    assert "'exported_index.csv' has changed; its copy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("positions"),
        lambda content: content.update(mean=[0.0]),
        lambda content: content.update(class_names=[{}]),
        lambda content: content["layout"].update(command="x"),
        lambda content: content["positions"].__setitem__(0, [10**9] * 4),
        lambda content: content["deviation"].__setitem__(0, float("nan")),
    ],
)
def test_a_broken_encoder_is_one_line(change, coloured):
    content = json.loads((coloured / TABLE).read_text())
    change(content)
    (coloured / TABLE).write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"table\.json is not"):
        load_run(coloured)


def test_a_run_of_before_roles_is_evaluated_as_it_was_trained(place):
    words = "data.categorical=[patient,visited]"
    data = pd.read_csv("identifier_and_date.csv").head(40)
    data["patient"] = np.tile(["P1", "P2", "P3", "P4"], 10)
    data["visited"] = np.tile(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"], 10)
    data.to_csv("identifier_and_date.csv", index=False)
    folder = trained("identifier_and_date", "outcome", words)
    (folder / TABLE).unlink()
    content = json.loads((folder / "results.json").read_text())
    kept = ("_target_", "path", "target", "missing", "sha256", "batch_size", "test_fraction", "val_fraction")
    content["config"]["data"] = {name: content["config"]["data"][name] for name in kept}
    content["overrides"] = [word for word in content["overrides"] if "categorical" not in word]
    del content["class_names"]
    (folder / "results.json").write_text(json.dumps(content))
    assert evaluate.main([f"run={folder}"]) == 0


def test_code_in_the_settings_of_a_table_is_refused(coloured):
    folder = coloured
    content = json.loads((folder / "results.json").read_text())
    for read in ({"converters": {"a": "os.system"}}, {"dtype": {"_target_": "os.system"}}, {"sep": "(a+)+$"}):
        content["config"]["data"]["read"] = read
        (folder / "results.json").write_text(json.dumps(content))
        with pytest.raises(SettingsError):
            load_run(folder)


@pytest.mark.integration
def test_names_that_are_formulas_or_html_are_text_in_every_file(place):
    names = ["=cmd|' /C calc'!A0", "<b>@</b>"]
    rows = [(row % 7, ["-x", "+y", "z"][row % 3], names[row % 2]) for row in range(60)]
    pd.DataFrame(rows, columns=["=SUM(A1)", "@kind", "class"]).to_csv("hostile.csv", index=False)
    folder = trained("hostile", "class", "data.numeric=['=SUM(A1)']")
    assert evaluate.main([f"run={folder}", "samples=hostile.csv", "out=out.csv"]) == 0
    aggregate.main([str(folder.parents[1])])
    files = [Path("out.csv"), *folder.parents[1].rglob("*.csv")]
    assert {path.name for path in files} > {"predictions.csv", "confusion.csv"}
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            cells = {cell for line in csv.reader(file) for cell in line}
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-x")) or "\t" in cell], path
    predictions = load_run(folder).predictions
    assert set(predictions["target"]) == set(names)
    assert {"=SUM(A1)", "@kind"} < set(predictions.columns)
    matrices, problems = read_confusion(pd.DataFrame({"folder": [folder], "fingerprint": ["a"]}))
    assert (matrices["a"].names, problems) == (tuple(names[::-1]), [])
    [page] = folder.parents[1].rglob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;@" in text
    assert "<b>@" not in text
