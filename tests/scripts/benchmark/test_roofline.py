import shutil
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmark import roofline
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.roofline import floor, measure
from src.engines.native.compile import TUNING

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler, cc")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "FLOATS", 2**20)
    monkeypatch.setattr(roofline, "ROUNDS", 3)


@needs_compiler
def test_the_rates_of_a_core_are_those_of_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "available_cpus", lambda: 1)
    measured = measure()
    assert measured is not None
    assert 1e9 < measured["operations"] < 1e12
    assert 1e8 < measured["bytes"] < 1e12


def test_without_a_compiler_there_is_no_roofline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert measure() is None


@needs_compiler
def test_a_compiler_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNING, "-march=none")
    with pytest.raises(BenchmarkError, match=r"^roofline\.c cannot be compiled: "):
        measure()


def test_the_floor_counts_products_by_hand() -> None:
    # 2 x 3 and 3 x 4 weights, 5 samples: 2 products of the first, 3 of the second, 2 operations each
    operations = 2 * 5 * (2 * 6 + 3 * 12)
    assert floor({"operations": 1e6, "bytes": np.inf}, [2, 3, 4], 5) == operations
    parameters = 2 * 3 + 3 + 3 * 4 + 4
    assert floor({"operations": np.inf, "bytes": 1e6}, [2, 3, 4], 5) == pytest.approx(24 * parameters)
