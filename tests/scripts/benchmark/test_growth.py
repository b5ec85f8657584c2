from typing import Any

import pytest

from scripts.benchmark import growth
from scripts.benchmark.command import BenchmarkError, Finished
from scripts.benchmark.growth import AXES


def test_every_size_of_every_axis_is_measured_or_the_two_smallest(commands: list[list[tuple[str, ...]]]) -> None:
    quick = growth.measure(quick=True, report=lambda _: None)
    assert {name: tuple(axis["values"]) for name, axis in quick.items()} == {
        name: axis.values[:2] for name, axis in AXES.items()
    }
    commands.clear()
    measured = growth.measure(quick=False, report=lambda _: None)
    assert {name: tuple(axis["values"]) for name, axis in measured.items()} == {
        name: axis.values for name, axis in AXES.items()
    }
    assert len(commands) == sum(len(axis.values) for axis in AXES.values())
    assert all(set(axis["seconds"]) == {40.0} and set(axis["memory"]) == {7 * 10**8} for axis in measured.values())
    words = {word for [command] in commands for word in command}
    assert {"seed=range(1000)", "data.samples_per_class=500000", "classes=64", "model.hidden=[400,800,400]"} <= words


def test_an_axis_ends_where_the_command_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str) -> Finished:
        if "data.samples_per_class=5000" in words:
            raise BenchmarkError("src.train ended with code -9: no output")
        return Finished(1.0, 2, "")

    monkeypatch.setattr(growth, "run", run)
    measured = growth.measure(quick=False, report=lambda _: None)
    assert measured["samples"]["values"] == [100, 1000]
    assert measured["samples"]["failure"] == "10,000 samples: src.train ended with code -9: no output"
    assert [axis["failure"] for name, axis in measured.items() if name != "samples"] == [None] * 3


@pytest.mark.parametrize("name", AXES)
def test_the_overrides_of_an_axis_are_settings(name: str, settings: Any) -> None:
    axis = AXES[name]
    overrides = [word.replace("range(1)", "[0]") for word in axis.words(axis.values[0])]
    composed = settings("loss=ce", *overrides)
    assert composed["trainer"]["max_epochs"] == axis.epochs
    assert name != "samples" or composed["data"]["samples_per_class"] * composed["classes"] == 100
    assert name != "width" or composed["model"]["hidden"] == [25, 50, 25]
