import gc
import weakref
from types import SimpleNamespace
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
    assert Line.through({2: 0.0, 4: 8.0})(1) == 2.0
    assert [line(seeds) for seeds in (2, 4, 10)] == [5.0, 9.0, 21.0]
    assert Line.through({1: 3.0})(7) == 3.0
    assert Line.through({2: 5.0, 4: 4.0})(100) == 4.0
    assert line.steeper(1.0)(10) == 31.0


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


class Inline:
    """A pool that runs everything in this process."""

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None: ...

    def apply(self, function: Any, arguments: Any) -> Any:
        return function(*arguments)

    def starmap(self, function: Any, arguments: Any, chunksize: int) -> Any:
        return [function(*each) for each in arguments]


def test_what_was_measured_is_extrapolated_and_noise_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = {"cold": 3.0, "warm": 1.0, "start": [1.0, 2.0], "epoch": [0.1, 0.2], "inherited": 1.0}
    fits |= {"memory": [10.0, 20.0], "memory_epoch": 2.0}
    writes = {"seconds": [1.0, 5.0], "disk": [1.0, 5.0], "memory": 30.0, "seconds_epoch": 9.0, "disk_epoch": 0.5}
    monkeypatch.setattr(
        calibration.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=lambda *_, **__: Inline())
    )
    monkeypatch.setattr(calibration, "_sizes", lambda *_: (10, 20))
    monkeypatch.setattr(calibration, "_measure_fits", lambda *_: fits)
    monkeypatch.setattr(calibration, "_measure_writes", lambda *_: writes)
    costs = calibration.calibrate({"trainer": {"max_epochs": 106}}, {}, largest=100, processes=2, seconds=0.1)
    assert (costs.first, costs.start(100), costs.epoch(100)) == pytest.approx((2.0, 10.0, 1.0))
    assert costs.disk(100) == pytest.approx(100 + 0.5 * 100 * 100)  # 6 of 106 epochs were trained
    assert costs.write(100) == pytest.approx(100 + 0.01 * 100 * 100)  # 9 s were noise: an epoch took 0.01 s per seed
