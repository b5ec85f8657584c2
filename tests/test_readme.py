"""Every command and every example of the README works as it is written."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from tensorboard import program

import scripts.aggregate
import scripts.plan.__main__
import src.evaluate
import src.losses
from scripts.benchmark.options import parse
from scripts.plan.jobs import sweep_jobs
from tests.commands import SHORT, results

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


CROSSED = ("seeds.data=range(2)", "seeds.init=range(2)", "seeds.shuffle=range(2)")  # instead of 12 x 6 x 3


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]


def dry_run(*arguments):
    """Return the last command that make would run, also where make itself runs the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-n", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[-1]


def test_every_command_is_of_a_known_kind():
    assert {tuple(command[:3]) for command in COMMANDS} == {
        ("make", "train"),
        ("make", "test"),
        ("python", "-m", "src.train"),
        ("python", "-m", "scripts.aggregate"),
        ("python", "-m", "scripts.plan"),
        ("python", "-m", "src.evaluate"),
        ("python", "-m", "scripts.benchmark"),
        ("tensorboard", "--logdir", "outputs"),
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [("train", "-m src.train loss=ce classes=4"), ("test", "-m pytest -n 2"), ("sweep", "--multirun experiment=hw4")],
)
def test_make_targets_run_what_the_readme_says(target, expected):
    assert dry_run(target).endswith(expected)


def test_make_hands_arguments_on():
    assert dry_run("train", "ARGS=loss=mse classes=2 seed=7").endswith("-m src.train loss=mse classes=2 seed=7")


def test_commands_follow_each_other_as_written(train, tmp_path):
    for command in COMMANDS:
        if command[:3] == ["python", "-m", "src.train"]:
            smaller = CROSSED if "experiment=variance" in command else ()
            train(*command[3:], *SHORT, *smaller)
    assert len(results(tmp_path / "outputs" / "hw4")) == 80
    assert len(results(tmp_path / "outputs" / "runs")) == 80  # of which one was there already
    assert len(list(tmp_path.glob("outputs/variance/*/*/results.json"))) == 4 * 2 * 2 * 2
    for command in COMMANDS:
        if command[2:3] == ["scripts.aggregate"]:
            assert scripts.aggregate.main(command[3:]) == 0
    assert {path.name for path in Path("outputs/hw4/report").iterdir()} >= {"accuracy.png", "runs.csv", "summary.csv"}
    folder = next(path.parent for path in Path("outputs/hw4").glob("*/seed=7/results.json"))
    pd.DataFrame({"x1": [0.1], "x2": [0.2]}).to_csv("points.csv", index=False)
    evaluations = [command[3:] for command in COMMANDS if command[2:3] == ["src.evaluate"]]
    assert len(evaluations) == 2
    for words in evaluations:
        placed = [word.replace("outputs/<study>/<condition>/seed=7", str(folder)) for word in words]
        assert src.evaluate.main(placed) == 0
    assert len(pd.read_csv("predicted.csv")) == 1


def test_every_topic_of_the_slides_has_a_command_that_works(train, tmp_path):
    [section] = re.findall(r"## The lecture, slide by slide\n(.*?)\n## ", README, flags=re.DOTALL)
    commands = [shlex.split(line) for line in re.findall(r"\| `(python .*?)` \|", section)]
    assert len(commands) == 12
    for command in commands:
        [experiment] = [word.partition("=")[2] for word in command if word.startswith("experiment=")] or [None]
        if experiment not in (None, "lecture"):  # tests/test_architecture.py trains the others for a moment
            assert (ROOT / "conf" / "experiment" / f"{experiment}.yaml").exists()
        elif command[2] == "src.train":
            words = SHORT
            if "data=gaussians" in command:
                words = ("trainer.max_epochs=2", "data.samples=30", "figures=none")  # 24 give every class a covariance
            train(*command[3:], *words, "seed=0", "logger=none")
        else:
            assert importlib.util.find_spec(command[2])
    trained = {(content["model"], content["loss"]) for content in results(tmp_path).values()}
    whole = {("gaussian", "none"), ("gaussian_shared", "none"), ("logistic", "logistic"), ("linear", "mse")}
    assert trained == whole | {("mlp", "mse"), ("mlp", "ce"), ("mlp", "ce_softmax")}


def test_plan_takes_the_sweep(monkeypatch):
    taken = []
    monkeypatch.setattr(scripts.plan.__main__, "predict", lambda words, workers, _: taken.append((words, workers)))
    monkeypatch.setattr(scripts.plan.__main__, "_print", lambda _: None)
    [command] = [command[3:] for command in COMMANDS if command[2:3] == ["scripts.plan"]]
    assert scripts.plan.__main__.main(command) == 0
    [(words, workers)] = taken
    assert workers == 64
    assert [len(condition.seeds) for condition in sweep_jobs(words).conditions] == [100] * 4


def test_the_benchmark_takes_the_flags(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parsed = [parse(command[3:]) for command in COMMANDS if command[2:3] == ["scripts.benchmark"]]
    assert {options.accelerator for options in parsed} == {"cpu", "gpu"}
    assert {options.quick for options in parsed} == {True, False}


def test_tensorboard_takes_the_flags():
    [flags] = [command[1:] for command in COMMANDS if command[0] == "tensorboard"]
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", *flags])
    assert (board.flags.logdir, board.flags.host) == ("outputs", "localhost")


def test_example_of_a_new_loss_trains(train, tmp_path, monkeypatch):
    [code] = [block for block in blocks("python") if "hinge.py" in block]
    [config] = [block for block in blocks("yaml") if "hinge.yaml" in block]
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "hinge.py").write_text(code)
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "hinge.yaml").write_text(config)
    monkeypatch.setattr(src.losses, "__path__", [*src.losses.__path__, str(tmp_path / "losses")])
    monkeypatch.delitem(sys.modules, "src.losses.hinge", raising=False)
    train("loss=hinge", "classes=4", f"hydra.searchpath=[file://{tmp_path / 'conf'}]", *SHORT)
    [content] = results(tmp_path / "outputs").values()
    assert (content["loss"], content["status"]) == ("hinge", "completed")


def test_every_loss_and_every_kind_of_data_has_its_row_with_its_settings():
    for group, without in (("loss", {"none.yaml"}), ("data", set())):
        [table] = re.findall(rf"^\| `{group}=` \| (?:loss|points).*?\n((?:\|.*\n)+)", README, flags=re.MULTILINE)
        rows = {name: row for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        files = {path.stem: path for path in (ROOT / "conf" / group).glob("*.yaml") if path.name not in without}
        assert rows.keys() == files.keys()
        for name, path in files.items():
            content = OmegaConf.load(path)
            settings = (content.data if "data" in content else content).keys()
            own = set(settings) - {"_target_", "defaults", "name", "sha256"}
            assert own <= set(re.findall(r"\w+", rows[name].split("|")[4])), name


def test_files_that_the_readme_names_exist():
    for name in [*re.findall(r"\]\((\.github/[^)]+)\)", README), "hydra_plugins", "scripts/aggregate.py"]:
        assert (ROOT / name).exists(), name
