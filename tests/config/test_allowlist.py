import json

import pytest
import torch
from torch import nn

from src.config.allowlist import allowed_problem, target_problem, targets, unsafe_override
from src.config.instantiate import factory
from src.utils.validation import SettingsError
from tests.commands import SHORT


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("src.losses.ce.CrossEntropy", object),
        ("src.models.mlp.MLP", nn.Module),
        ("torch.optim.Adam", torch.optim.Optimizer),
        ("src.storage.tensorboard.write_events", object),  # a function of our own
    ],
)
def test_what_the_configuration_names_may_be_called(target, kind):
    assert target_problem("group", target, kind, []) is None


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("os.system", "in src, torch, lightning or a package of allow_targets"),
        ("srcery.Thing", "in src, torch, lightning"),
        ("src", "defined in"),
        (None, "in src"),
        (5, "in src"),
        ("src.losses.ce.Missing", "can be imported"),
        ("src.losses.missing.Missing", "can be imported"),
        ("src.experiments.write_run.subprocess.run", "defined in"),
        ("src.experiments.write_run.subprocess.Popen", "defined in"),
        ("src.config.instantiate.factory.__globals__", "defined in"),
        ("torch.os.system", "defined in"),
        ("torch.load", "a class"),
        ("torch.hub.load", "a class"),
        ("torch.utils.cpp_extension.load_inline", "a class"),
        ("lightning.pytorch.trainer.trainer.Trainer.fit", "a class"),
        ("torch.nn.Linear", "derived from Optimizer"),
    ],
)
def test_what_may_not_be_called(target, rule):
    kind = torch.optim.Optimizer if target == "torch.nn.Linear" else object
    assert rule in target_problem("group", target, kind, []).rule


def test_added_packages_may_be_called_but_not_what_they_import():
    assert target_problem("group", "decimal.Decimal", object, []) is not None
    assert target_problem("group", "decimal.Decimal", object, ["decimal"]) is None
    assert target_problem("group", "json.tool.main", object, ["json"]) is None
    assert "defined in" in target_problem("group", "json.codecs.open", object, ["json"]).rule


@pytest.mark.parametrize("value", ["mine", None, [1], ["a b"], [""], ["a..b"], {"a": 1}, ["os"], ["mine", "os.path"]])
def test_allow_targets_is_a_list_of_packages(value):
    assert allowed_problem(value).name == "allow_targets"
    assert allowed_problem([]) is allowed_problem(["a", "b.c"]) is None


def test_targets_are_found_at_any_depth():
    inner = {"_target_": "b"}
    outer = {"_target_": "a", "x": [1, {"y": inner}]}
    assert list(targets("group", outer)) == [("group", "a"), ("group.x.1.y", "b")]


@pytest.mark.parametrize(
    "line",
    [
        "loss._target_=os.system",
        "+loss.x._target_=os.system",
        "loss={_target_:os.system}",
        "loss={x:[{_target_:'os.system'}]}",
        "loss._target_=src.losses.ce.CrossEntropy,os.system",
        "loss._target_=${study}",
        "loss._target_=[os.system]",
        "+hydra.callbacks.x._target_=src.config.naming.resolve",
        "hydra.launcher._target_=os.system",
        "hydra.sweeper.params={loss._target_:os.system}",
        "+hydra.job_logging.handlers.x={class:subprocess.Popen}",
        "allow_targets=[mine] loss._target_=yours.Loss",
        "allow_targets=[mine] loss._target_=mineral.Loss",
        "allow_targets=[os] loss._target_=os.system",
        "allow_targets=[mine,os] loss._target_=os.system",
        "allow_targets=${study} study=os loss._target_=os.system",
        "allow_targets=[mine] +hydra.callbacks.x._target_=mine.Callback",
        "allow_targets=[mine] hydra.launcher._target_=mine.Launcher",
    ],
)
def test_a_command_line_cannot_name_code_of_others(line):
    assert unsafe_override(line.split()) is not None


@pytest.mark.parametrize(
    "line",
    [
        "loss=ce",
        "loss._target_=mine.Loss allow_targets=[mine]",
        "allow_targets=['mine.sub'] model.network={_target_:mine.sub.Net}",
        "loss._target_=src.losses.ce.CrossEntropy,src.losses.mse.MeanSquaredError",
        "logger._target_=null",
        "hydra/job_logging=disabled",
        "hydra.job_logging.root.level=WARNING",
        "seed=range(3)",
        "[broken",
        "~loss",
    ],
)
def test_other_words_are_left_alone(line):
    assert unsafe_override(line.split()) is None


def test_the_setting_reaches_what_is_built():
    config = {"loss": {"_target_": "decimal.Decimal"}}
    with pytest.raises(SettingsError, match="allow_targets"):
        factory(config, "loss")
    with pytest.raises(SettingsError, match="a class for loss="):
        factory(config | {"allow_targets": ["decimal"]}, "loss")("1")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A loss in a package of the user's own, and the folder of its YAML."""
    package = tmp_path / "packages" / "mypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "loss.py").write_text("from src.losses.ce import CrossEntropy\nclass Mine(CrossEntropy):\n    pass\n")
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine.yaml").write_text("_target_: mypackage.loss.Mine\n")
    monkeypatch.syspath_prepend(package.parent)
    return f"hydra.searchpath=[file://{tmp_path / 'conf'}]"


def test_code_of_the_users_own_trains_and_is_evaluated_when_it_is_allowed(elsewhere, train, tmp_path, capfd):
    from src.evaluate import main

    refused = train("loss=mine", elsewhere, *SHORT, code=1).err
    assert refused.startswith("Expected `loss._target_` to be in src, torch, lightning or a package of allow_targets")
    train("loss=mine", elsewhere, "allow_targets=[mypackage]", *SHORT)
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    assert json.loads((folder / "results.json").read_text())["config"]["allow_targets"] == ["mypackage"]
    assert main([f"run={folder}"]) == 2  # what a file says of itself does not count
    assert "loss._target_" in capfd.readouterr().err
    assert main([f"run={folder}", "allow_targets=mypackage"]) == 0
    assert main([f"run={folder}", "allow_targets=[mypackage]"]) == 0


def test_stored_settings_widen_nothing_for_those_who_read_them(train, tmp_path, monkeypatch, capfd):
    import scripts.aggregate
    from src.evaluate import main

    train(*SHORT)
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    (tmp_path / "planted.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'trap')!r})\nclass Loss: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = json.loads((folder / "results.json").read_text())
    content["config"]["loss"]["_target_"] = "planted.Loss"
    content["config"]["allow_targets"] = ["planted"]
    (folder / "results.json").write_text(json.dumps(content))
    assert main([f"run={folder}"]) == 2
    assert "loss._target_" in capfd.readouterr().err
    assert scripts.aggregate.main([str(folder.parents[1])]) == 0
    assert not (tmp_path / "trap").exists()
    assert main([f"run={folder}", "allow_targets=planted"]) == 2  # the trap works: this imports it
    assert (tmp_path / "trap").exists()


def test_results_hold_nothing_of_the_environment(train, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSLAB_SECRET", "hunter2-in-the-environment")
    train("figures=all", "seed=0", *SHORT[:2])
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
