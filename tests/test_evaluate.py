import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from src.evaluate import main
from tests.commands import parametrize


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_metrics_are_reproduced_exactly_from_the_folder_alone(finished, tmp_path, capsys):
    moved = shutil.copytree(finished, tmp_path / "elsewhere")
    assert str(tmp_path) not in (moved / "results.json").read_text()
    assert main([f"run={moved}"]) == 0
    out = capsys.readouterr().out
    stored = json.loads((moved / "results.json").read_text())["metrics"]
    assert {"val/accuracy", "train/decided_classes", "train/dead_units/3"} <= stored.keys()
    for name, value in stored.items():
        [line] = [line for line in out.splitlines() if f" {name} " in line]
        assert line.split()[3::2] == [str(value), str(value), "equal"] or line.count(str(value)) == 2
    assert "different" not in out


@parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"], quick=1)
def test_other_precisions_are_reproduced_too(precision, train, tmp_path, capfd):
    train("data.samples_per_class=10", "trainer.max_epochs=2", "figures=none", f"trainer.precision={precision}")
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    assert main([f"run={folder}"]) == 0
    assert "different" not in capfd.readouterr().out


@pytest.mark.parametrize(("change", "code", "kind"), [(1e-4, 1, "different"), (1e-8, 0, "within rounding")])
def test_a_changed_metric_is_noticed_unless_by_rounding(copy, capsys, change, code, kind):
    content = json.loads((copy / "results.json").read_text())
    content["metrics"]["test/accuracy"] += change
    (copy / "results.json").write_text(json.dumps(content))
    assert main([f"run={copy}"]) == code
    shown = capsys.readouterr()
    [line] = [line for line in shown.out.splitlines() if kind in line]
    assert "test/accuracy" in line
    assert shown.err == ("1 of the stored metrics are not reproduced\n" if code else "")


def test_metrics_that_an_older_losslab_did_not_store_are_no_difference(copy, capsys):
    content = json.loads((copy / "results.json").read_text())
    for name in [name for name in content["metrics"] if name.startswith("train/d")]:
        del content["metrics"][name]
    (copy / "results.json").write_text(json.dumps(content))
    assert main([f"run={copy}"]) == 0
    assert capsys.readouterr().out.count("not stored") == 4  # decided classes, and dead units of three layers


def test_samples_of_the_users_own(finished, tmp_path, capsys):
    table = pd.read_csv(finished / "predictions.csv")
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    table[["x2", "x1"]].assign(note="=1+1").to_csv(source, index=False)
    assert main([f"run={finished}", f"samples={source}", f"out={target}"]) == 0
    written = pd.read_csv(target)
    assert list(written.columns) == ["x2", "x1", "note", "pred", "p0", "p1", "p2"]
    assert written["pred"].tolist() == table["pred"].tolist()
    np.testing.assert_allclose(written[["p0", "p1", "p2"]], table[["p0", "p1", "p2"]], atol=1e-6)
    assert str(target) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x1,y\n1,2\n", "with the columns x1, x2"),
        ("x1,x2\n1,two\n", "finite numbers"),
        ("x1,x2\n1,inf\n", "finite numbers"),
        ("x1,x2\n1,\n", "finite numbers"),
        ("", "a CSV file"),
    ],
)
def test_bad_samples(finished, tmp_path, capsys, content, words):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(content)
    assert main([f"run={finished}", f"samples={source}", f"out={target}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not target.exists()


def test_help_names_the_settings(capsys):
    assert main(["--help"]) == 0
    assert (
        "run=DIR [data=FILE] [samples=IN.csv out=OUT.csv [unknown=none]] [allow_targets=PACKAGES]"
        in capsys.readouterr().out
    )
    assert main([]) == 2


@pytest.mark.parametrize("broken", ["missing", "other", "shapes"])  # mutated ones are in tests/faults/test_fuzz.py
def test_broken_checkpoints_are_refused_in_a_line(copy, capsys, broken):
    path = copy / "checkpoint.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.head.bias"] = torch.zeros(1, 1, 9)
    if broken == "missing":
        path.unlink()
    else:
        torch.save(content if broken == "shapes" else [1, 2], path)
    assert main([f"run={copy}"]) == 2
    error = capsys.readouterr().err
    assert "checkpoint.ckpt" in error
    assert error.count("\n") == 1


def test_configuration_without_a_group_is_one_clear_line(copy, capsys):
    content = json.loads((copy / "results.json").read_text())
    del content["config"]["model"]
    (copy / "results.json").write_text(json.dumps(content))
    assert main([f"run={copy}"]) == 2
    assert capsys.readouterr().err == "Expected `model` to be given, got null.\n"


def test_run_of_an_absent_accelerator_is_evaluated_on_the_processor(copy, capsys):
    content = json.loads((copy / "results.json").read_text())
    content["config"]["trainer"]["accelerator"] = "tpu"
    (copy / "results.json").write_text(json.dumps(content))
    assert main([f"run={copy}"]) == 0
    assert "different" not in capsys.readouterr().out
