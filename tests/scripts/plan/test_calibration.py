import gc
import weakref
from typing import Any

import pytest

from scripts.plan import calibration
from scripts.plan.calibration import Costs, Line
from src.config.instantiate import Components, build_components
from src.utils.seed_streams import SeedStreams


def test_costs_add_up() -> None:
    costs = Costs(
        first=9.0,
        start=Line(1.0, 0.5),
        epoch=Line(0.1, 0.01),
        epochs=100,
        write=Line(2.0, 0.25),
        inherited=3e7,
        memory=Line(1e8, 1e5),
        memory_epoch=100.0,
        disk=Line(1e3, 1e4),
    )
    assert costs.seconds(10) == pytest.approx(1 + 5 + 100 * (0.1 + 0.1) + 2 + 2.5)
    assert costs.peak(10) == pytest.approx(1e8 + 1e6 + 100 * 10 * 98)


def test_a_line_goes_through_its_points_and_never_falls() -> None:
    line = Line.through({2: 5.0, 4: 9.0})
    assert [line(seeds) for seeds in (2, 4, 10)] == [5.0, 9.0, 21.0]
    assert Line.through({1: 3.0})(7) == 3.0
    assert Line.through({2: 5.0, 4: 4.0})(100) == 4.0


def test_a_stack_that_was_measured_does_not_stay_in_memory(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[weakref.ref[Any]] = []

    def watched(config: dict[str, Any], members: list[SeedStreams]) -> Components:
        parts = build_components(config, members)
        built.extend((weakref.ref(parts.network), weakref.ref(parts.datamodule)))
        return parts

    monkeypatch.setattr(calibration, "build_components", watched)
    gc.disable()
    try:
        assert calibration._fit(settings("loss=ce", "data.samples_per_class=10"), seeds=3, epochs=2) > 0
        assert [reference() for reference in built] == [None, None]
    finally:
        gc.enable()
