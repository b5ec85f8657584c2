import subprocess
import sys

import pytest

from scripts.benchmark import context
from scripts.benchmark.context import Context, busy_seconds, own_seconds

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_a_child_counts_as_ours_and_keeps_the_machine_busy() -> None:
    own, busy = own_seconds(), busy_seconds()
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert 0.45 < own_seconds() - own < 1.5
    assert busy_seconds() - busy > 0.45 or not context.STAT.exists()


@pytest.mark.parametrize(("ours", "others"), [(12.0, 0.0), (4.0, 0.4), (0.0, 0.6)])
def test_what_others_used_is_a_share_of_all_cores(monkeypatch: pytest.MonkeyPatch, ours: float, others: float) -> None:
    clocks = {"perf_counter": iter([100.0, 105.0]), "busy": iter([1000.0, 1012.0]), "own": iter([50.0, 50.0 + ours])}
    monkeypatch.setattr(context, "perf_counter", lambda: next(clocks["perf_counter"]))
    monkeypatch.setattr(context, "busy_seconds", lambda: next(clocks["busy"]))
    monkeypatch.setattr(context, "own_seconds", lambda: next(clocks["own"]))
    monkeypatch.setattr(context.os, "cpu_count", lambda: 4)  # 5 seconds of 4 cores: 20
    described = Context(quick=True).describe()
    assert described["others"] == pytest.approx(others)
    assert described["quick"] is True
    assert described["torch"]
    assert described["processor"]
