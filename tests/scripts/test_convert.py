import shutil

import pytest
import torch

from scripts.convert import main
from src.analysis.collect import collect
from src.experiments import convert, load_run, run
from src.storage.locks import lock_free
from src.storage.schema import CHECKPOINT, FAILED, HISTORY, RESULTS, read_results, written
from src.storage.stack_table import Stack, find_run, forget, stacks
from tests.analysis.studies import write_run

pytest.importorskip("safetensors")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Return the directory of a study with figures and TensorBoard's files; a test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("original")
    small = {"data": {"samples_per_class": 20}, "trainer": {"max_epochs": 2}}
    run("figures=first", loss="ce", seed=range(3), output_dir=folder, **small)
    run("seeds.init=[5]", "figures=none", loss="mse", seed=[1], output_dir=folder, **small)
    return folder / "runs"


@pytest.fixture
def study(original, tmp_path):
    return shutil.copytree(original, tmp_path / "runs")


def contents(study):
    """Return the content of every file of every seed, with the weights of checkpoints in lists."""
    found = {str(path.relative_to(study)): path for path in study.glob("*/seed=*/**/*") if path.is_file()}
    return {name: _weights(path) if path.name == CHECKPOINT else path.read_bytes() for name, path in found.items()}


def _weights(path):
    content = torch.load(path, weights_only=True)
    return content | {"state_dict": {name: value.tolist() for name, value in content["state_dict"].items()}}


def test_a_round_trip_loses_nothing(original, study, capsys):
    before, runs = contents(original), collect([study]).runs
    times = {path.parent.name: path.stat().st_mtime for path in study.glob("*/seed=*/results.json")}
    assert main([str(study), "--to", "table"]) == 0
    assert "4 seeds were converted" in capsys.readouterr().out
    assert list(study.glob("*/seed=*")) == []
    assert collect([study]).runs.equals(runs)
    assert {path.name for path in study.glob("*/stack-0/seed=*/**/*") if path.is_file()} == {
        *("loss.png", "scatter.png", "events.out.tfevents.losslab")
    }
    folders = [find_run(folder) for folder in map(study.joinpath, {name.rpartition("/")[0] for name in before})]
    assert {each.beside.name: each.written for each in folders if each} == times
    assert main([str(study), "--to", "files"]) == 0
    assert list(study.glob("*/stack-*")) == []
    assert contents(study) == before
    assert collect([study]).runs.equals(runs)
    assert {path.parent.name: written(path.parent) for path in study.glob("*/seed=*/results.json")} == times
    assert main([str(study), "--to", "files"]) == 0
    assert "0 seeds were converted" in capsys.readouterr().out


def test_long_conditions_become_several_stacks(study, monkeypatch):
    monkeypatch.setattr(convert, "SEEDS_PER_STACK", 2)
    assert main([str(study), "--to", "table"]) == 0
    [condition] = study.glob("loss=ce*")
    assert [Stack(folder).names for folder in stacks(condition)] == [["seed=0", "seed=1"], ["seed=2"]]
    assert load_run(condition / "seed=2").results.seed == 2


def test_failed_and_incomplete_runs_are_kept_as_they_are(tmp_path):
    write_run(tmp_path, seed=0, status=FAILED, error="NaN")
    (write_run(tmp_path, seed=1) / HISTORY).write_bytes(b"\xff\xfe")
    other = write_run(tmp_path, seed=2)
    (other / "notes.txt").write_text("mine")
    (other / "predictions.csv").write_text("x1,x2\n1,2,3\n")
    (other / CHECKPOINT).write_text("none")
    before = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for to in ("table", "files"):
        assert main([str(tmp_path), "--to", to]) == 0
    after = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_what_cannot_be_read_stays_and_is_named(study, capsys):
    [broken] = study.glob("loss=ce*/seed=1")
    (broken / RESULTS).write_text("{")
    assert main([str(study), "--to", "table"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert str(broken / RESULTS) in line
    assert [path.name for path in broken.parent.glob("seed=*")] == ["seed=1"]
    (broken.parent / "stack-0/history.parquet").write_text("")
    forget()  # which stacks there were
    assert main([str(study), "--to", "files"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("history.parquet" in line for line in lines)
    assert Stack(broken.parent / "stack-0").names == ["seed=0", "seed=2"]


@pytest.mark.parametrize(("to", "writer"), [("table", "shutil.copytree"), ("files", "torch.save")])
def test_a_full_disk_leaves_the_source(to, writer, study, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if to == "files":
        main([str(study), "--to", "table"])
    before = {path for path in study.rglob("*") if path.name != ".lock"}
    monkeypatch.setattr(writer, full)
    assert main([str(study), "--to", to]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert {path for path in study.rglob("*") if path.name != ".lock"} == before


def test_seeds_that_are_trained_meanwhile_are_left_alone(study, capsys):
    [condition] = study.glob("loss=ce*")
    with lock_free(condition, ["seed=1"]):
        assert main([str(study), "--to", "table"]) == 1
    assert "1 seeds are in use" in capsys.readouterr().err
    assert [path.name for path in condition.glob("seed=*")] == ["seed=1"]
    assert read_results(condition / "seed=0").seed == 0


@pytest.mark.parametrize("words", [[], ["nowhere", "--to", "table"], ["--to", "csv"]])
def test_wrong_arguments_are_one_line(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
