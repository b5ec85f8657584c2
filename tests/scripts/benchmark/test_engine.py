import math
from collections.abc import Sequence
from typing import ClassVar

import pytest

from scripts.benchmark import engine
from scripts.benchmark.backends.worker import Assignment
from scripts.benchmark.engine import BACKENDS, STEPS, TimingPlan, absent, measure, worker_groups

PLAN = TimingPlan(rounds=2, before=3, epochs=4)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "available_cpus", lambda: 2)
    monkeypatch.setattr(engine, "cpu_indices", lambda: [0, 1])


class FakeWorkerGroup:
    """A group whose every segment takes as many seconds as it has been asked before, and one."""

    log: ClassVar[list[str]] = []

    def __init__(self, name: str, assignments: Sequence[Assignment]) -> None:
        self.name, self.assignments, self.asked = name, assignments, 0

    def __enter__(self) -> "FakeWorkerGroup":
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append(f"stop {self.name}")

    def segment(self) -> float:
        self.log.append(self.name)
        self.asked += 1
        return float(self.asked)

    def losses(self) -> list[float]:
        return [0.5 for assignment in self.assignments for _ in assignment.seeds]


def test_each_round_trains_every_form_of_every_backend_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WorkerGroup", FakeWorkerGroup)
    monkeypatch.setattr(FakeWorkerGroup, "log", [])
    reported: list[str] = []
    measured = measure(["loop", "losslab"], 20, PLAN, reported.append)
    forms = [
        f"{backend}, {form}" for backend in ("loop", "losslab") for form in ("one process", "one process per core")
    ]
    assert list(measured) == forms
    assert FakeWorkerGroup.log == forms * PLAN.rounds + [f"stop {form}" for form in reversed(forms)]
    assert {form: value["networks"] for form, value in measured.items()} == dict(
        zip(forms, (1, 2, 20, 20), strict=True)
    )
    steps = PLAN.epochs * STEPS
    for value in measured.values():
        expected = [1e6 * seconds / (steps * value["networks"]) for seconds in (1, 2)]
        assert value["us"] == pytest.approx(expected)
        assert value["loss"] == 0.5
    assert reported[-1] == "S=20: round 2 of 2"


NO = None


@pytest.mark.parametrize(
    ("backend", "size", "one", "each"),  # of each process: seeds, threads, core and chunk
    [
        ("losslab", 5, [((0, 1, 2, 3, 4), 1, NO, NO)], [((0, 2, 4), 1, NO, NO), ((1, 3), 1, NO, NO)]),
        ("loop", 80, [((0,), 1, NO, NO)], [((0,), 1, NO, NO), ((1,), 1, NO, NO)]),  # one at a time
        ("jax", 3, [((0, 1, 2), NO, NO, NO)], [((0, 2), 1, 0, 10), ((1,), 1, 1, 10)]),  # tuned
    ],
)
def test_the_networks_are_shared_among_the_cores(backend, size, one, each) -> None:
    groups = worker_groups(backend, size, PLAN)
    found = [[(work.seeds, work.threads, work.core, work.chunk) for work in group.assignments] for group in groups]
    assert found == [one, each]
    assert {work.segments for group in groups for work in group.assignments} == {(3, 4, 4)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_network_cannot_be_shared(backend: str) -> None:
    assert [group.name for group in worker_groups(backend, 1, PLAN)] == [f"{backend}, one process"]


def test_a_backend_whose_package_is_missing_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"sklearn": None, "jax": object()}
    monkeypatch.setattr(engine.importlib.util, "find_spec", found.__getitem__)
    assert absent(list(BACKENDS)) == {"sklearn": "sklearn"}
    assert absent(["loop", "jax"]) == {}


def test_an_epoch_has_the_lectures_steps(settings) -> None:
    data = settings()["data"]
    assert math.ceil(round(2 * data["samples_per_class"] * (1 - data["test_fraction"])) / data["batch_size"]) == STEPS
