import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts import benchmark, lecture_loop
from scripts.benchmark import CONDITIONS, RATIOS, SEEDS, BenchmarkError, main
from src.data.noisy_cubic import NoisyCubic
from src.threads import one_thread

START_UP = 4.0  # seconds of every made-up command
TRAINING = {("mse", "2"): 5.0, ("mse", "4"): 10.0, ("ce", "2"): 6.0, ("ce", "4"): 12.0}  # of one network


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Make up what each command would take, and keep what was run."""
    ran: list[tuple[str, ...]] = []

    def run(*command: str) -> tuple[float, int, str]:
        ran.append(command)
        module, *words = command
        if module == "scripts.lecture_loop":
            networks = [TRAINING[words[0], words[1]]] * int(words[words.index("--seeds") + 1])
            return START_UP + sum(networks), 10**8, json.dumps({"seconds": networks})
        return (40.0 if "--multirun" in words else 8.0), 7 * 10**8, ""

    monkeypatch.setattr(benchmark, "_run", run)
    return ran


def measure(folder: Path, *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json", str(folder / "measured.json")]) == 0
    content: dict[str, Any] = json.loads((folder / "measured.json").read_text())
    return content


def test_a_round_runs_each_command_once_and_the_loop_for_each_condition(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    measured = measure(tmp_path, "--epochs", "7", "--rounds", "2")
    one_round = commands[: len(commands) // 2]
    assert commands == one_round * 2
    assert one_round[0] == ("src.train", "loss=ce", "classes=2", "trainer.max_epochs=7")
    assert ("src.train", "--multirun", "experiment=hw4", "trainer.max_epochs=7") in one_round
    loops = [command[1:] for command in one_round if command[0] == "scripts.lecture_loop"]
    assert sorted((loss, int(classes)) for loss, classes, *_ in loops) == sorted(CONDITIONS)
    assert all(loop[2:] == ("--seeds", "1", "--epochs", "7", "--threads", "1") for loop in loops)
    assert (measured["rounds"], measured["epochs"]) == (2, 7)


def test_the_time_of_80_networks_is_20_of_each_condition_and_one_start_up(
    commands: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = measure(tmp_path, "--rounds", "2")
    expected = SEEDS * sum(TRAINING.values()) + START_UP
    assert measured["extrapolated"] is True
    assert measured["seconds"][benchmark.ALL] == [expected] * 2
    assert measured["ratios"] == {"one network": [10 / 8] * 2, "80 networks": [expected / 40] * 2}
    assert measured["peak_memory_bytes"] == [7 * 10**8] * 2
    shown = capsys.readouterr().out
    assert f"{benchmark.ALL}, extrapolated" in shown
    for number in ("1.25", "16.60", "0.70 GB"):
        assert number in shown


def test_full_runs_the_loop_for_every_network(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    measured = measure(tmp_path, "--rounds", "1", "--full", "--loop-threads", "2")
    assert measured["extrapolated"] is False
    assert measured["seconds"][benchmark.ALL] == [SEEDS * sum(TRAINING.values()) + 4 * START_UP]
    assert sum(command[3:5] == ("--seeds", str(SEEDS)) for command in commands) == 4
    assert all(command[-2:] == ("--threads", "2") for command in commands if command[0] == "scripts.lecture_loop")


def test_the_networks_are_those_of_homework_4(settings: Any) -> None:
    settings("experiment=hw4")  # it exists
    text = Path(benchmark.__file__).parents[1].joinpath("conf", "experiment", "hw4.yaml").read_text()
    assert f"seed: range({SEEDS})" in text
    assert "loss: mse,ce" in text
    assert "classes: 2,4" in text
    assert len(CONDITIONS) * SEEDS == 80
    assert {least for _, _, least in RATIOS.values()} == {1, 15}


def test_commands_really_run_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seconds, memory, output = benchmark._run(
        "src.train", "loss=ce", "classes=2", "trainer.max_epochs=1", "figures=none"
    )
    assert 0.1 < seconds < 300
    assert 5e7 < memory < 1.5e9
    assert "loss=ce classes=2" in output
    assert not any(tmp_path.iterdir())


def test_the_lectures_loop_really_runs() -> None:
    options = benchmark._parser().parse_args(["--epochs", "1"])
    whole, inside = benchmark._loop(options, "mse", 4, seeds=2)
    assert 0 < inside < whole < 300


def test_a_command_that_fails_is_named_with_its_last_line() -> None:
    with pytest.raises(BenchmarkError, match=r"^json.tool nowhere.json ended with code \d: .*No such file"):
        benchmark._run("json.tool", "nowhere.json")


def test_a_failure_ends_with_one_line(
    commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: str) -> None:
        raise BenchmarkError("src.train ended with code 1: no space left")

    monkeypatch.setattr(benchmark, "_run", fail)
    assert main(["--rounds", "1"]) == 1
    assert capsys.readouterr().err == "benchmark: src.train ended with code 1: no space left\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "argument --rounds: expected a whole number of at least 1, got '0'"),
        (["--rounds", "two"], "argument --rounds: expected a whole number of at least 1, got 'two'"),
        (["--epochs", "-1"], "argument --epochs: expected a whole number of at least 1, got '-1'"),
        (["--epochs", "2.5"], "argument --epochs: expected a whole number of at least 1, got '2.5'"),
        (["--loop-threads", "0"], "argument --loop-threads: expected a whole number of at least 1, got '0'"),
        (
            ["--json", "nowhere/out.json"],
            "argument --json: expected a file that can be written, got 'nowhere/out.json'",
        ),
        (["--json", "."], "argument --json: expected a file that can be written, got '.'"),
        (["--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_bad_arguments_end_with_one_line_before_anything_runs(
    arguments: list[str], message: str, commands: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"benchmark: {message}\n"
    assert commands == []


def test_help_says_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("--rounds N", "default: 3", "extrapolated", "--full", "experiment=hw4", "loss=ce classes=2"):
        assert words in shown


@pytest.mark.parametrize("classes", [2, 4])
def test_the_loops_points_are_those_of_the_law(classes: int) -> None:
    torch.manual_seed(0)
    points, labels = lecture_loop.draw(classes)
    law = NoisyCubic(
        classes, points=80, noise="uniform", half_width=0.2, spacing=0.2, label_order=None, priors=None, flip=0
    )
    x, target = law.sample([torch.Generator()])
    assert torch.equal(labels, target[0])
    torch.testing.assert_close(points[:, 0], x[0, :, 0].float())
    noise = points[:, 1] - law.curve(points[:, 0]).float() - law.centres.float()[labels]
    assert noise.abs().max() <= 0.2 + 1e-6
    assert noise.std().item() == pytest.approx(law.deviation, rel=0.1)


@pytest.mark.parametrize(("loss", "classes", "steps"), [("ce", 2, 26), ("mse", 2, 26), ("ce", 4, 52), ("mse", 4, 52)])
def test_the_loop_takes_the_lectures_steps_and_learns(loss: str, classes: int, steps: int) -> None:
    epochs = 3
    with one_thread():
        losses, again, other = (lecture_loop.train(loss, classes, seed, epochs) for seed in (0, 0, 1))
    assert len(losses) == epochs * steps
    assert all(map(math.isfinite, losses))
    assert loss == "mse" or losses[0] == pytest.approx(math.log(classes), abs=0.05)  # N(0, 0.02): no opinion yet
    assert sum(losses[-steps:]) < sum(losses[:steps])
    assert losses == again
    assert losses != other
