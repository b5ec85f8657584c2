import math
from typing import Any

import pytest

from scripts.benchmark import roofline, wide
from scripts.benchmark.backends.work import work
from scripts.benchmark.engine import TimingPlan


def test_each_size_of_mini_batches_is_measured_with_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, TimingPlan]] = []

    def measure(backends: Any, size: int, plan: TimingPlan, report: Any) -> dict[str, Any]:
        asked.append((size, plan))
        return {"jax, one process": {"us": [1.0], "networks": size, "loss": 0.1}}

    monkeypatch.setattr(wide, "measure", measure)
    found = [(batch, size) for batch, size, _ in wide.measure_sizes(["jax"], (20, 80), 3, False, lambda _: None)]
    assert found == [(64, 20), (64, 80), (256, 20), (256, 80)]
    assert [(size, plan.rounds, plan.steps, plan.epochs) for size, plan in asked] == [
        (20, 3, 23, 2),
        (80, 3, 23, 2),
        (20, 3, 6, 8),
        (80, 3, 6, 8),
    ]
    assert wide.plan(1, True, 64).segments == (1, 1)


@pytest.mark.parametrize("batch_size", wide.BATCH_SIZES)
def test_the_work_is_what_the_plan_says(batch_size: int) -> None:
    task = work((0,), (1,), overrides=wide.overrides(batch_size))
    assert task.batch_size == batch_size
    assert task.x.shape == (1, wide.SAMPLES, wide.FEATURES)
    assert [weight.shape[1:] for weight, _ in task.layers] == [(64, 256), (256, 256), (256, 10)]
    assert wide.plan(1, False, batch_size).steps == math.ceil(wide.SAMPLES / batch_size)


def test_the_floors_are_those_of_the_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "measure", lambda: {"operations": 1e11, "bytes": 1e12})
    floors = wide.floors()
    assert floors is not None
    products = 2 * 64 * 256 + 3 * 256 * 256 + 3 * 256 * 10
    assert floors["us"] == {str(batch): pytest.approx(2 * batch * products / 1e5) for batch in (64, 256)}
    monkeypatch.setattr(roofline, "measure", lambda: None)
    assert wide.floors() is None
