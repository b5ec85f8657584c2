import json
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import engine, wide
from scripts.benchmark.__main__ import main
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.engine import BACKENDS, TimingPlan
from scripts.benchmark.options import PARTS
from tests.scripts.benchmark.made_up import content


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int, TimingPlan]]:
    """Make up what the engine takes, and keep what was asked for."""
    asked: list[tuple[list[str], int, TimingPlan]] = []

    def measure(backends: list[str], size: int, plan: TimingPlan, report: Any) -> dict[str, Any]:
        asked.append((backends, size, plan))
        return {
            f"{backend}, one process": {"us": [9.0] * plan.rounds, "networks": size, "loss": 0.5}
            for backend in backends
        }

    monkeypatch.setattr(engine, "measure", measure)
    monkeypatch.setattr(wide, "measure", measure)
    monkeypatch.setattr(wide, "floors", lambda: None)
    monkeypatch.setattr(engine, "absent", lambda backends: {"jax": "jax"} if "jax" in backends else {})
    return asked


def test_everything_is_measured_at_full_length(engines: list[Any], commands: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    assert main(["--json", str(file), "--plot", str(tmp_path / "all.png")]) == 0
    measured = json.loads(file.read_text())
    assert set(measured) == set(PARTS)
    assert [size for _, size, _ in engines] == [1, 20, 80, 320, 20, 80, 20, 80]
    assert engines[4][0] == ["loop", "vmap", "compiled", "jax_map", "losslab"]
    assert set(measured["wide"]["sizes"]) == {"64 20", "64 80", "256 20", "256 80"}
    present = [backend for backend in BACKENDS if backend not in ("jax", "jax_map", "compiled")]
    assert engines[0] == (present, 1, TimingPlan(rounds=3, before=100, epochs=20))
    assert 26 * 100 > 2000
    assert measured["hw4"]["epochs"] == 499
    assert measured["engine"]["absent"] == {"jax": "jax"}
    assert set(measured["engine"]["sizes"]) == {"1", "20", "80", "320"}
    for part in measured.values():
        assert part["context"]["cores"] >= 1
        assert part["context"]["quick"] is False
    assert (tmp_path / "all.png").stat().st_size > 10_000


def test_quick_measures_everything_once_and_briefly(
    engines: list[Any], commands: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--parts", "engine", "single"]) == 0
    assert [(size, plan) for _, size, plan in engines] == [(1, TimingPlan(1, 2, 2)), (20, TimingPlan(1, 2, 2))]
    assert commands[0][0][-1] == "trainer.max_epochs=3"
    shown = capsys.readouterr().out
    assert "JAX jit + vmap + scan: not measured, as jax is not installed" in shown
    assert "--quick measures too little for a comparison with the targets." in shown


def test_a_later_call_adds_to_what_was_measured(engines: list[Any], commands: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    common = ["--backends", "loop", "--json", str(file)]
    assert main(["--parts", "engine", "start", "--sizes", "20", *common]) == 0
    assert main(["--parts", "engine", "--sizes", "80", *common]) == 0
    measured = json.loads(file.read_text())
    assert list(measured) == ["engine", "start"]
    assert set(measured["engine"]["sizes"]) == {"20", "80"}
    assert main(["--quick", "--parts", "engine", "--sizes", "1", *common]) == 0  # other segments do not compare
    assert set(json.loads(file.read_text())["engine"]["sizes"]) == {"1"}


def test_what_was_measured_before_a_failure_is_kept(
    engines: list[Any],
    commands: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any) -> None:
        raise BenchmarkError("src.train ended with code 1: no space left")

    monkeypatch.setattr(benchmark.growth, "measure", fail)
    file = tmp_path / "all.json"
    assert main(["--parts", "start", "growth", "--json", str(file)]) == 1
    assert capsys.readouterr().err == "benchmark: src.train ended with code 1: no space left\n"
    assert list(json.loads(file.read_text())) == ["start"]


def test_a_file_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("[]", '{"other": 1}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(SystemExit):
            main(["--json", str(tmp_path / "a.json")])
        assert "expected a file of earlier measurements" in capsys.readouterr().err
        assert (tmp_path / "a.json").read_text() == text


def test_help_says_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("--rounds N", "default: 3", "extrapolated", "--full", "experiment=hw4", *PARTS, *BACKENDS):
        assert words in shown


def test_measurements_of_a_file_are_shown_with_new_ones(
    engines: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.json"
    earlier = content()
    del earlier["engine"]
    file.write_text(json.dumps(earlier))
    assert main(["--parts", "engine", "--backends", "losslab", "--sizes", "20", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "80 networks: the loop / losslab" in shown
    assert "9.0 (9.0)" in shown
