import re
from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.provenance import provenance
from tests.analysis.studies import write_run


def write(study: Path, loss: str, classes: int, seeds: int = 3, **changes) -> None:
    for seed in range(seeds):
        words = [f"loss={loss}", f"classes={classes}", f"seed={seed}", "experiment=hw4"]
        write_run(study, loss, classes, seed, files=False, overrides=words, **changes)


def commands(*studies: Path) -> list[str]:
    return provenance(collect(studies).results).commands


def test_a_whole_product_is_one_command(tmp_path: Path):
    for loss in ("mse", "ce"):
        for classes in (2, 4):
            write(tmp_path, loss, classes)
    (command,) = commands(tmp_path)
    assert command == "python -m src.train --multirun loss=ce,mse classes=2,4 experiment=hw4 'seed=range(3)'"


def test_what_is_no_product_is_a_command_a_condition(tmp_path: Path):
    write(tmp_path, "mse", 2)
    write(tmp_path, "ce", 4, seeds=1)
    assert sorted(commands(tmp_path)) == [
        "python -m src.train --multirun loss=mse classes=2 experiment=hw4 'seed=range(3)'",
        "python -m src.train loss=ce classes=4 experiment=hw4 seed=0",
    ]


def test_crossed_streams_are_swept(tmp_path: Path):
    for data in range(3):
        for init in (1, 5):
            write_run(tmp_path, pins={"data": data, "init": init}, files=False, overrides=["loss=ce"])
    assert commands(tmp_path) == ["python -m src.train --multirun loss=ce seed=0 'seeds.data=range(3)' seeds.init=1,5"]


def test_each_study_has_its_commands_and_many_are_cut(tmp_path: Path):
    for name in ("a", "b"):
        for number in range(15):
            words = [f"+x={number}", f"y{number}=1"]
            write_run(tmp_path / name, f"{name}{number}", 2, number, files=False, overrides=words)
    lines = commands(tmp_path / "a", tmp_path / "b")
    assert len(lines) == 21
    assert lines[-1] == "# and 10 more"


def test_versions_that_differ_are_all_named_and_stacks_count_once(tmp_path: Path):
    write(tmp_path, "ce", 2, seconds=10.0, versions={"torch": "2.1", "commit": "abc"})
    write(tmp_path, "mse", 2, seconds=7.0, versions={"torch": "2.2", "commit": "abc"})
    found = provenance(collect([tmp_path]).results)
    assert found.versions == {"torch": ["2.1", "2.2"], "commit": ["abc"]}
    assert found.seconds == pytest.approx(17)
    assert found.runs == 6


def test_odd_overrides_are_quoted_for_a_shell(tmp_path: Path):
    write_run(tmp_path, overrides=["a=b c; rm -rf x", "~gone", "model.hidden=[1,2]"], files=False)
    (command,) = commands(tmp_path)
    assert re.search(r"'a=b c; rm -rf x' '~gone' 'model.hidden=\[1,2\]' seed=0$", command)
