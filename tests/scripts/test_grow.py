import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts import grow
from tests.analysis.studies import write_run, write_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for seed in range(4):
        add(tmp_path / "hw4", seed)
    return tmp_path / "hw4"


def add(study: Path, seed: int) -> None:
    """Write one seed of both losses, whose difference has a standard deviation of one point."""
    common, own = np.random.default_rng(seed).normal(0, 0.01, 2)
    for loss, accuracy in (("ce", 0.7 + common), ("mse", 0.7 + common + own)):
        metrics = {"population/accuracy": accuracy, "test/accuracy": 0.7, "train/decided_classes": 2}
        write_run(study, loss, seed=seed, metrics=metrics, files=False, overrides=[f"loss={loss}", f"seed={seed}"])


@pytest.fixture
def trained(study: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Write seeds in place of training, and return the command lines."""
    calls: list[list[str]] = []

    def run(words, check):
        calls.append(words[3:])
        last = int(words[-1].removeprefix("seed=range(").removesuffix(")"))
        present = len(list(study.glob("loss=ce*/seed=*")))
        for seed in range(present, last):
            add(study, seed)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(grow.subprocess, "run", run)
    return calls


def test_seeds_are_added_until_the_widest_interval_is_narrow(study: Path, trained, capsys):
    assert grow.main([str(study), "--until", "1.5", "--step", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    widths = [float(line.split(" is ")[1].split()[0]) for line in lines]
    assert widths[-1] < 1.5 <= min(widths[:-1])
    assert [line.split()[0] for line in lines] == [str(4 + 10 * step) for step in range(len(lines))]
    assert lines[-1].endswith("points, of mse at C = 2")
    words = ["--multirun", "loss=ce,mse", "study=hw4"]
    assert trained == [[*words, f"seed=range({14 + 10 * step})"] for step in range(len(lines) - 1)]
    assert grow.main([str(study), "--until", "1.5"]) == 0  # nothing is left to do
    assert len(trained) == len(lines) - 1


def test_it_stops_at_the_largest_number_of_seeds(study: Path, trained, capsys):
    assert grow.main([str(study), "--until", "0.01", "--max-seeds", "9", "--step", "3"]) == 1
    assert [words[-1] for words in trained] == ["seed=range(7)", "seed=range(9)"]
    assert "stopped at --max-seeds 9" in capsys.readouterr().out


def trained_with(study: Path, word: str) -> None:
    """Add an override to the results of all runs."""
    for path in study.glob("*/seed=*/results.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content | {"overrides": [*content["overrides"], word]}), encoding="utf-8")


FOREIGN = ["allow_targets=[mine]", "hydra.searchpath=[file:///mine]", "hydra/launcher=slurm"]


@pytest.mark.parametrize("word", [*FOREIGN, "+optimizer@hydra.job.env_set=adam"])
def test_what_names_code_of_others_has_to_be_typed(word: str, study: Path, trained, capsys):
    trained_with(study, word)
    command = [str(study), "--until", "0.01", "--max-seeds", "5"]
    assert grow.main(command) == 1
    assert f"its runs were trained with {word}; add that" in capsys.readouterr().err
    assert trained == []
    assert grow.main([*command, word]) == 1
    assert trained == [["--multirun", "loss=ce,mse", word, "study=hw4", "seed=range(5)"]]


@pytest.mark.parametrize("word", ["--config-dir=/mine", "-cd", "loss", " +allow_targets=[mine]"])
def test_what_is_no_setting_is_never_repeated(word: str, study: Path, trained, capsys):
    trained_with(study, word)
    assert grow.main([str(study), "--until", "0.01"]) == 1
    assert f"settings alone, got {word.strip()}" in capsys.readouterr().err
    assert trained == []


def test_what_cannot_grow_is_named_in_one_line(tmp_path: Path, study: Path, monkeypatch, capsys):
    assert grow.main([str(tmp_path / "nowhere"), "--until", "1"]) == 1
    assert "is not a folder" in capsys.readouterr().err
    alone = write_study(tmp_path / "alone", ("ce",), (2,), files=False)
    assert grow.main([str(alone), "--until", "1"]) == 1
    assert "has one loss alone" in capsys.readouterr().err
    folds = {"data": {"split": "kfold", "folds": 5, "val_fraction": 0.0}}
    crossed = write_study(tmp_path / "folds", counts=(2,), files=False, config=folds)
    assert grow.main([str(crossed), "--until", "1"]) == 1
    assert "not split=kfold" in capsys.readouterr().err
    monkeypatch.setattr(grow.subprocess, "run", lambda words, check: subprocess.CompletedProcess(words, 0))
    assert grow.main([str(study), "--until", "0.1"]) == 1
    assert "no seeds were added" in capsys.readouterr().err
    monkeypatch.setattr(grow.subprocess, "run", lambda words, check: subprocess.CompletedProcess(words, 1))
    assert grow.main([str(study), "--until", "0.1"]) == 1
    assert "training ended with exit code 1" in capsys.readouterr().err
