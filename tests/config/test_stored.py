import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from src import evaluate
from src.experiments.loading import load_run
from src.storage.schema import ArtifactError, read_results, read_table, seed_folders
from src.utils.validation import SettingsError
from tests.commands import files


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "study" / "condition" / finished.name)


def change(folder, path, value):
    content = json.loads((folder / "results.json").read_text())
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    (folder / "results.json").write_text(json.dumps(content))


def test_a_target_in_a_file_is_never_used(copy):
    change(copy, ("config", "loss", "_target_"), "os.system")
    change(copy, ("config", "optimizer"), {"_target_": "os.system"})
    change(copy, ("config", "trainer", "_target_"), "os.system")
    change(copy, ("config", "export"), {"_target_": "os.system"})
    change(copy, ("config", "allow_targets"), ["os"])
    loaded = load_run(copy)
    assert type(loaded.components.objective).__name__ == "CrossEntropy"
    assert loaded.recompute_metrics() == loaded.metrics


HANDLER = "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler"
REFUSED = {
    "a shell (S1)": (("config", "loss", "x"), {"_target_": HANDLER, "entrypoint": "/bin/sh", "args": ["-c", "TRAP"]}),
    "a writer (S3)": (("config", "loss", "x"), {"_target_": "torch._C.PyTorchFileWriter", "name": "TRAP"}),
    "a list": (("config", "data", "label_order"), [{"_target_": "os.system", "command": "TRAP"}]),
    "a huge network": (("config", "model", "hidden"), [10**6, 10**6]),
    "a huge data set": (("config", "data", "samples_per_class"), 10**12),
    "no group": (("config", "data"), None),
    "an unknown setting": (("config", "loss", "colour"), "red"),
    "an interpolation": (("config", "data", "noise"), "${oc.env:HOME}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_value_is_refused_in_a_line(case, copy, tmp_path, capsys):
    path, value = REFUSED[case]
    trap = tmp_path / "trap"
    change(copy, path, json.loads(json.dumps(value).replace("TRAP", f"touch {trap}")))
    before = files(tmp_path)
    assert evaluate.main([f"run={copy}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert files(tmp_path) == before


def test_a_function_of_src_is_not_called_whatever_is_allowed(copy, tmp_path):
    """S2: ``src.evaluate.main`` with a second run whose loss was ``pandas.read_pickle``."""
    change(copy, ("config", "loss", "_target_"), "src.evaluate.main")
    change(copy, ("loss",), "planted")
    with pytest.raises(SettingsError, match=r"loss\._target_"):
        load_run(copy, ["pandas"])


def test_code_of_others_needs_the_same_command(copy, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w').close()\nclass Loss: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    change(copy, ("loss",), "planted")
    change(copy, ("config", "loss"), {"_target_": "planted.Loss"})
    change(copy, ("config", "allow_targets"), ["planted"])
    with pytest.raises(SettingsError, match=r"loss\._target_"):
        load_run(copy)
    assert "planted" not in sys.modules
    assert not (tmp_path / "trap").exists()
    with pytest.raises(SettingsError, match="methods"):
        load_run(copy, ["planted"])
    assert (tmp_path / "trap").exists()  # the trap works


HOSTILE = ("bomb", "legacy", "huge", "terabyte", "sparse", "integers", "list", "link", "pipe")


@pytest.mark.parametrize("broken", HOSTILE)
def test_checkpoints_are_checked_before_memory_is_allocated(broken, copy, tmp_path):
    path = copy / "checkpoint.ckpt"
    content = torch.load(path, weights_only=True)
    if broken == "bomb":
        path.unlink()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data/0", bytes(10**7))
    elif broken == "legacy":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    elif broken == "huge":
        torch.save(content | {"extra": torch.zeros(10**6)}, path)
    elif broken == "list":
        torch.save([content], path)
    elif broken in ("terabyte", "sparse", "integers"):
        weights = {
            "terabyte": lambda value: torch.zeros(1).expand(10**12),
            "sparse": lambda value: torch.sparse_coo_tensor([[0]], [1.0], (10**12,), check_invariants=True),
            "integers": lambda value: value.long(),
        }[broken]
        torch.save({"state_dict": {name: weights(value) for name, value in content["state_dict"].items()}}, path)
    else:
        path.rename(tmp_path / "elsewhere.ckpt")
        path.symlink_to(tmp_path / "elsewhere.ckpt") if broken == "link" else os.mkfifo(path)
    with pytest.raises(ArtifactError, match=r"checkpoint\.ckpt"):
        load_run(copy)


@pytest.mark.parametrize("name", ["results.json", "history.csv"])
def test_links_out_of_a_run_are_not_followed(name, copy, tmp_path):
    (copy / name).rename(tmp_path / name)
    (copy / name).symlink_to(tmp_path / name)
    with pytest.raises(ArtifactError, match=name):
        read_results(copy) if name == "results.json" else read_table(copy / name, ("epoch",))


def test_a_link_out_of_a_study_is_no_seed_of_it(copy, tmp_path):
    study = copy.parents[1]
    assert seed_folders(study) == [copy]
    copy.rename(tmp_path / "elsewhere")
    copy.symlink_to(tmp_path / "elsewhere")
    assert seed_folders(study) == []


def test_a_table_is_read_only_if_its_content_is_known(train, tmp_path: Path):
    table = tmp_path / "table.csv"
    table.write_text("x,y\n" + "1,a\n2,b\n" * 10)
    csv = ("data=csv", f"data.path={table}", "data.target=y")
    train(*csv, "trainer.max_epochs=1", "figures=none", "model.hidden=[4]")
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    loaded = load_run(folder)
    assert loaded.recompute_metrics() == loaded.metrics
    for path in ("/dev/zero", "/etc/passwd", "nowhere.csv", 5):
        change(folder, ("config", "data", "path"), path)
        with pytest.raises(ArtifactError, match="data=FILE names the file that the run was trained on"):
            load_run(folder).recompute_metrics()
