import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.config import schema
from src.config.instantiate import check_settings
from src.config.schema import storage_problem, study_problem
from src.config.validation import folder_problem, link_problem
from src.utils.validation import SettingsError
from tests.commands import files

Settings = dict[str, Any]


@pytest.mark.parametrize("study", ["a/b", "../x", "", ".hidden", "-x", "a b", "x" * 101, "\u00fcmlaut", [1], None])
def test_a_study_must_be_a_plain_directory_name(study: Any) -> None:
    problem = study_problem("study", study)
    assert problem is not None
    assert (problem.name, problem.value) == ("study", study)


@pytest.mark.parametrize("study", ["hw4", "a.b", "x" * 100, "2024-01-01", "lr=0.1,x_y+z"])
def test_good_names_of_studies(study: str) -> None:
    assert study_problem("study", study) is None


def test_tables_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage_problem("storage", "files") is None
    monkeypatch.setattr(schema, "find_spec", lambda name: None if name == "safetensors" else name)
    problem = storage_problem("storage", "table")
    assert problem is not None
    assert "pip install -e '.[table]'" in str(problem)


def test_a_study_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    assert folder_problem(tmp_path / "outputs" / "runs") is None
    (tmp_path / "outputs").write_text("")
    problem = folder_problem(tmp_path / "outputs" / "runs")
    assert problem is not None
    assert problem.name == "hydra.sweep.dir"


@pytest.mark.parametrize("name", ["seed=1", ".seed=2.new", "train.log", ".hydra/config.yaml", ".", "../.sweep"])
def test_links_to_write_through_are_named(name: str, tmp_path: Path) -> None:
    assert link_problem(tmp_path, "condition") is None
    link = tmp_path / "condition" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/nowhere")
    problem = link_problem(tmp_path, "condition")
    assert problem is not None
    assert Path(name).name in problem.rule


@pytest.mark.parametrize("mode", [(), ("--multirun",)])
def test_all_wrong_settings_are_reported_at_once(mode: tuple[str, ...], train: Any, tmp_path: Path) -> None:
    wrong = ("study='a b'", "classes=1", "seed=-1", "optimizer.lr=0", "figures=some")
    lines = train(*mode, *wrong, code=1).err.splitlines()
    assert sorted(line.split("`")[1] for line in lines) == ["classes", "figures", "optimizer.lr", "seed", "study"]
    assert not files(tmp_path)


def test_all_parts_that_cannot_be_built_are_reported_at_once(settings: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError) as caught:
        check_settings(settings("+data.colour=red", "+loss.weight=2", "model._target_=src.models.mlp.Missing"))
    assert [problem.name for problem in caught.value.problems] == ["data.colour", "loss.weight", "model._target_"]


def test_only_the_last_job_of_a_sweep_is_wrong(train: Any, tmp_path: Path) -> None:
    assert "`classes`" in train("--multirun", "classes=2,3,1", code=1).err
    assert not files(tmp_path)


def test_validation_of_names_and_ranges_imports_no_torch() -> None:
    code = "import sys, src.config.callback; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("optimizer", ["Adafactor", "Muon", "LBFGS"])
def test_optimizers_that_couple_seeds_are_refused(optimizer: str, settings: Callable[..., Settings]) -> None:
    config = settings("seed=[0,1]")
    config["optimizer"] = {"_target_": f"torch.optim.{optimizer}", "lr": 0.1}
    with pytest.raises(SettingsError) as caught:
        check_settings(config)
    assert all(problem.name.startswith("optimizer") for problem in caught.value.problems)


@pytest.mark.parametrize(
    "words",
    [("data.batch_size=126",), ("data.batch_size=127", "+trainer.limit_train_batches=1"), ("data.batch_size=128",)],
)
def test_batch_norm_trains_on_two_samples(words: tuple[str, ...], settings: Callable[..., Settings]) -> None:
    config = settings("model=custom", "allow_targets=[tests]", *words)  # 128 training samples
    config["model"]["network"]["_target_"] = "tests.models.test_custom.Normed"
    check_settings(config)


ELEMENTWISE = ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD")


@pytest.mark.parametrize("optimizer", ELEMENTWISE)
def test_element_wise_optimizers_train_several_seeds(optimizer: str, settings: Callable[..., Settings]) -> None:
    config = settings("seed=[0,1]")
    config["optimizer"] = {"_target_": f"torch.optim.{optimizer}", "lr": 0.1}
    check_settings(config)


def test_arguments_that_only_a_step_refuses_are_found_first(train: Any, tmp_path: Path) -> None:
    line = train("+optimizer.betas=[0.9,0.99,0.999]", code=1).err
    assert line.startswith("Expected `optimizer`")
    assert "[0.9, 0.99, 0.999]" in line
    assert not files(tmp_path)
