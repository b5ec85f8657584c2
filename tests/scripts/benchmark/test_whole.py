from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark import whole
from scripts.benchmark.whole import CONDITIONS, SEEDS
from tests.scripts.benchmark.made_up import START_UP, TRAINING

ONE_OF_EACH = sum(TRAINING.values())
Commands = list[list[tuple[str, ...]]]


def measure(part: str, **settings: Any) -> dict[str, Any]:
    return whole.measure(part, **{"rounds": 1, "epochs": 7, "full": False, "report": lambda _: None} | settings)


def test_one_network_is_timed_beside_the_loop_in_every_round(commands: Commands) -> None:
    measured = measure("single", rounds=2)
    assert [each[0][0] for each in commands] == ["src.train", "scripts.benchmark.lecture_loop"] * 2
    assert commands[0] == [("src.train", "loss=ce", "classes=2", "trainer.max_epochs=7")]
    assert measured["seconds"] == {whole.TRAIN: [8.0] * 2, whole.ONE: [START_UP + TRAINING["ce", "2"]] * 2}
    assert measured["memory"] == {whole.TRAIN: [7 * 10**8] * 2}


def test_the_time_of_80_networks_is_20_of_each_condition_and_one_start_up(commands: Commands) -> None:
    measured = measure("hw4")
    assert measured["seconds"] == {
        whole.HW4: [40.0],
        whole.ALL: [SEEDS * ONE_OF_EACH + START_UP],
        whole.BOTH: [SEEDS / 2 * ONE_OF_EACH + START_UP],
    }
    loops = [each for each in commands if each[0][0] == "scripts.benchmark.lecture_loop"]
    assert [len(each) for each in loops] == [1] * 4 + [2] * 4
    assert [(each[0][1], int(each[0][2])) for each in loops] == CONDITIONS * 2
    assert {each[0][3:7] for each in loops} == {("--epochs", "7", "--threads", "1")}
    assert [command[-4:] for command in loops[-1]] == [("--first", str(n), "--seeds", "1") for n in (0, 1)]


def test_full_runs_the_loop_for_every_network(commands: Commands) -> None:
    measured = measure("hw4", full=True)
    assert measured["seconds"][whole.ALL] == [SEEDS * ONE_OF_EACH + START_UP]
    assert measured["seconds"][whole.BOTH] == [SEEDS / 2 * ONE_OF_EACH + START_UP]
    shares = [[command[-4:] for command in each] for each in commands if each[0][0] == "scripts.benchmark.lecture_loop"]
    assert shares[:4] == [[("--first", "0", "--seeds", "20")]] * 4
    assert shares[4:] == [[("--first", "0", "--seeds", "10"), ("--first", "10", "--seeds", "10")]] * 4


def test_full_shares_20_seeds_among_any_number_of_cores(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "available_cpus", lambda: 12)
    measure("hw4", full=True)
    last = [(int(command[-3]), int(command[-1])) for command in commands[-1]]
    assert [seed for first, seeds in last for seed in range(first, first + seeds)] == list(range(SEEDS))


def test_many_seeds_are_timed_with_few_and_without_training(commands: Commands) -> None:
    measured = measure("seeds")
    assert list(measured["seconds"]) == [whole.FEW_SEEDS, whole.MANY_SEEDS, whole.NO_TRAINING]
    words = [each[0] for each in commands]
    assert [word for each in words for word in each if word.startswith("seed=")] == [
        "seed=range(20)",
        "seed=range(1000)",
        "seed=range(1000)",
    ]
    assert [each[-1] for each in words] == [f"trainer.max_epochs={epochs}" for epochs in (7, 7, 1)]


def test_start_times_what_comes_before_training(commands: Commands) -> None:
    measure("start")
    assert [each[0][1:3] for each in commands] == [("--help",), ("--cfg", "job"), ("loss=ce", "classes=2")]


def test_the_networks_are_those_of_homework_4(settings: Any) -> None:
    settings("experiment=hw4")  # it exists
    text = Path(whole.__file__).parents[2].joinpath("conf", "experiment", "hw4.yaml").read_text()
    assert f"seed: range({SEEDS})" in text
    assert "loss: mse,ce" in text
    assert "classes: 2,4" in text
    assert len(CONDITIONS) * SEEDS == 80
