import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from src.config.allowlist import allowed_problem, check_composition, find_target, typed_allow_targets
from src.config.instantiate import factory
from src.config.paths import CONFIG_DIR
from src.utils.validation import SettingsError
from tests.commands import SHORT, files, parametrize

ALLOWED = {
    "loss": ["src.losses.ce.CrossEntropy", "src.losses.logistic.logistic"],
    "data": ["src.data.xor.Xor"],
    "model": ["src.models.mlp.MLP", "src.models.gaussian.Gaussian"],
    "model.network": ["torch.nn.Linear", "torch.nn.modules.linear.Linear"],
    "optimizer": ["torch.optim.Adam", "torch.optim.adamw.AdamW"],
    "trainer": ["lightning.Trainer"],
}


@pytest.mark.parametrize(("place", "target"), [(place, each) for place in ALLOWED for each in ALLOWED[place]])
def test_what_each_place_may_name(place, target):
    assert callable(find_target(place, target, []))


@pytest.mark.parametrize(
    ("place", "target", "rule"),
    [
        ("loss", "os.system", "in src.losses"),
        ("loss", "src.lossesx.Thing", "in src.losses"),
        ("loss", "src.losses", "defined in"),
        ("loss", None, "in src.losses"),
        ("loss", 5, "in src.losses"),
        ("loss", "src.losses.ce.Missing", "can be imported"),
        ("loss", "src.losses.missing.Missing", "can be imported"),
        ("loss", "src.losses.ce.F.cross_entropy", "defined in"),
        ("loss", "src.losses.base.check_two_classes", "a class with the methods"),
        ("loss", "src.losses.base.check", "defined in"),
        ("loss", "src.evaluate.main", "in src.losses"),
        ("loss", "torch.distributed.elastic.multiprocessing.SubprocessContext", "in src.losses"),
        ("data", "src.data.datamodule.StackedDataModule", "derived from src.data.protocols.DataSource"),
        ("model", "torch.nn.Linear", "in src.models"),
        ("model", "src.models.activations.Activation", "derived from torch.nn.Module"),
        ("model.network", "torch.nn.functional.relu", "defined in"),
        ("model.network", "torch.nn.parallel.DataParallel", "defined in"),
        ("model.network", "torch.load", "in torch.nn"),
        ("optimizer", "torch.nn.Linear", "in torch.optim"),
        ("optimizer", "torch.optim.lr_scheduler.StepLR", "derived from torch.optim.Optimizer"),
        ("trainer", "lightning.Fabric", "lightning.Trainer"),
        ("export", "lightning.pytorch.loggers.CSVLogger", "write_events"),
        ("loss.inner", "src.losses.ce.CrossEntropy", "left out"),
        ("seeds", "src.losses.ce.CrossEntropy", "left out"),
    ],
)
def test_what_a_place_may_not_name(place, target, rule):
    with pytest.raises(SettingsError) as caught:
        find_target(place, target, [])
    [problem] = caught.value.problems
    assert (problem.name, problem.value) == (f"{place}._target_", target)
    assert rule in problem.rule


def test_added_packages_may_be_named_but_not_what_they_import(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from os import system\nimport torch\nclass Net(torch.nn.Module):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_target("model", "mine.Net", ["mine"]).__name__ == "Net"
    for target, packages in [("mine.Net", []), ("mine.system", ["mine"]), ("mine.torch.nn.Linear", ["mine"])]:
        with pytest.raises(SettingsError):
            find_target("model", target, packages)
    with pytest.raises(SettingsError):
        find_target("trainer", "mine.Net", ["mine"])


@pytest.mark.parametrize("value", ["mine", None, [1], ["a b"], [""], ["a..b"], {"a": 1}, ["os"], ["mine", "os.path"]])
def test_allow_targets_is_a_list_of_packages(value):
    assert allowed_problem(value).name == "allow_targets"
    assert allowed_problem([]) is allowed_problem(["a", "b.c"]) is None


@pytest.mark.parametrize(
    ("words", "packages"),
    [
        ("loss=ce", []),
        ("allow_targets=[a,'b.c'] loss=ce", ["a", "b.c"]),
        ("allow_targets=[a],[b]", ["a", "b"]),
        ("[broken", []),
    ],
)
def test_packages_that_a_command_line_adds(words, packages):
    assert typed_allow_targets(words.split()) == packages


def composed(*words):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(words), return_hydra_config=True)


@parametrize(
    "words, name",
    [
        ("loss._target_=planted.f", "loss._target_"),
        ("loss._target_=[planted.f]", "loss._target_"),
        ("loss._target_=${study} study=planted.f", "loss._target_"),
        ("loss={_target_:planted.f}", "loss._target_"),
        ("+loss.x={_target_:planted.f}", "loss.x._target_"),
        ("+loss.x=[{_target_:planted.f}]", "loss.x.0._target_"),
        ("+model.inner={_target_:torch.nn.Linear}", "model.inner._target_"),
        ("+anything={_target_:src.losses.ce.CrossEntropy}", "anything._target_"),
        ("allow_targets=[mine] loss._target_=yours.Loss", "loss._target_"),
        ("allow_targets=[mine] loss._target_=mineral.Loss", "loss._target_"),
        ("allow_targets=[os] loss._target_=os.system", "allow_targets"),
        ("+hydra.callbacks.x._target_=planted.f", "hydra.callbacks.x._target_"),
        ("+hydra.callbacks.x._target_=src.config.naming.scientific", "hydra.callbacks.x._target_"),
        ("hydra.callbacks=${loss}", "hydra.callbacks"),
        ("hydra.launcher._target_=planted.f", "hydra.launcher._target_"),
        ("hydra.sweeper._target_=planted.f", "hydra.sweeper._target_"),
        ("+hydra.launcher.x={_target_:planted.f}", "hydra.launcher.x._target_"),
        ("hydra.launcher.workers=${loss}", "hydra.launcher.workers"),
        ("+hydra.sweeper.params={hydra/callbacks:x}", "hydra.sweeper.params.hydra/callbacks"),
        ("hydra.sweeper.grids=['loss=ce +hydra.callbacks.x._target_=planted.f']", "hydra.sweeper.grids.0"),
        ("+hydra.job_logging.handlers.x={class:planted.f}", "hydra.job_logging.handlers.x.class"),
        ("hydra.job_logging.handlers.console.stream=ext://planted.f", "hydra.job_logging.handlers.console.stream"),
        ("hydra.hydra_logging.handlers.console.stream=ext://planted.f", "hydra.hydra_logging.handlers.console.stream"),
        ("hydra.job_logging.handlers.console.stream=cfg://root", "hydra.job_logging.handlers.console.stream"),
        (
            "+x='ext://planted.f' hydra.job_logging.handlers.console.stream=${x}",
            "hydra.job_logging.handlers.console.stream",
        ),
        ("hydra.job_logging.handlers.file.filename=/tmp/x", "hydra.job_logging.handlers.file.filename"),
        ("hydra.job_logging.handlers.console=${loss}", "hydra.job_logging.handlers.console"),
    ],
    quick=9,
)
def test_no_part_of_a_composition_names_code_of_others(words, name):
    words = words.split(" ") if "grids" not in words else [words]
    with pytest.raises(SettingsError) as caught:
        check_composition(composed(*words), words)
    assert name in [problem.name for problem in caught.value.problems]


@parametrize(
    "words",
    [
        "loss=ce",
        "loss._target_=mine.Loss allow_targets=[mine]",
        "allow_targets=['mine.sub'] model=custom model.network={_target_:mine.sub.Net}",
        "loss._target_=src.losses.mse.MeanSquaredError",
        "export._target_=null",
        "hydra/job_logging=disabled",
        "hydra/job_logging=stdout hydra/hydra_logging=hydra_debug",
        "hydra.job_logging.root.level=WARNING",
        "hydra/launcher=basic hydra/sweeper=basic",
        "hydra/launcher=slurm +hydra.launcher.parameters.slurm_setup=[true] +hydra.job.env_set.A=1",
        "hydra/launcher=ray hydra.launcher.init.address=auto",
        "+hydra.callbacks.x._target_=hydra.experimental.callbacks.LogJobReturnCallback",
    ],
    quick=4,
)
def test_other_configurations_are_left_alone(words):
    check_composition(composed(*words.split()), words.split())


def test_a_file_cannot_add_packages():
    with pytest.raises(SettingsError, match="allow_targets"):
        check_composition(composed("allow_targets=[mine]"), ["experiment=x"])


def test_the_setting_reaches_what_is_built(tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("class Loss:\n    loss = decode = probabilities = lambda self: None\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"loss": {"_target_": "bare.Loss"}}
    with pytest.raises(SettingsError, match="allow_targets"):
        factory(config, "loss")
    with pytest.raises(SettingsError, match="out_features"):
        factory(config | {"allow_targets": ["bare"]}, "loss")()


PRESETS = {
    "launcher": "# @package hydra.launcher\n_target_: planted.f",
    "callback": "hydra: {callbacks: {x: {_target_: planted.f}}}",
    "target": "loss: {_target_: planted.f}",
    "anchor": "tuned: &x {_target_: planted.f}\nloss: *x",
    "packages": "allow_targets: [planted]\nloss: {_target_: planted.Loss}",
    "stream": "hydra: {job_logging: {handlers: {console: {stream: ext://planted.f}}}}",
    "factory": "hydra: {job_logging: {formatters: {x: {(): planted.f}}}}",
    "attribute": "hydra: {job_logging: {handlers: {console: {'.': {stream: planted}}}}}",
    "environment": "hydra: {job: {env_set: {LD_PRELOAD: planted.so}}}",
    "shell": "defaults: [override /hydra/launcher: slurm]\nhydra: {launcher: {parameters: {slurm_setup: [x]}}}",
    "cluster": "defaults: [override /hydra/launcher: ray]\nhydra: {launcher: {init: {address: 'planted:1'}}}",
    "grid": "hydra: {mode: MULTIRUN, sweeper: {grids: [+hydra.job_logging.handlers.x.class=planted.f]}}",
    "params": "hydra: {mode: MULTIRUN, sweeper: {params: {+hydra.callbacks.x._target_: planted.f}}}",
    "target in a grid": "hydra: {mode: MULTIRUN, sweeper: {grids: [loss._target_=planted.f]}}",
}


@parametrize("preset", list(PRESETS), quick=5)
def test_a_file_on_the_search_path_cannot_run_code(preset, train, tmp_path: Path, monkeypatch):
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w')\ndef f(**_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    group = "hydra/launcher" if preset == "launcher" else "experiment"
    path = tmp_path / "conf" / group / "evil.yaml"
    path.parent.mkdir(parents=True)
    header = "" if preset == "launcher" else "# @package _global_\n"
    path.write_text(f"{header}{PRESETS[preset]}\n")
    before = files(tmp_path)
    error = train(f"hydra.searchpath=[file://{tmp_path / 'conf'}]", f"{group}=evil", code=1).err
    assert all(line.startswith("Expected `") for line in error.splitlines())
    assert files(tmp_path) == before


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
    assert refused.startswith("Expected `loss._target_`")
    assert "allow_targets=[...]" in refused
    train("loss=mine", elsewhere, "allow_targets=[mypackage]", *SHORT)
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    assert json.loads((folder / "results.json").read_text())["config"]["allow_targets"] == ["mypackage"]
    assert main([f"run={folder}"]) == 2  # what a file claims about itself does not count
    assert "loss._target_" in capfd.readouterr().err
    assert main([f"run={folder}", "allow_targets=mypackage"]) == 0
    assert main([f"run={folder}", "allow_targets=[mypackage]"]) == 0


def test_results_hold_nothing_of_the_environment(train, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSLAB_SECRET", "hunter2-in-the-environment")
    train("figures=all", "seed=0", *SHORT[:2])
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
