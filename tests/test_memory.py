"""The memory of a run, which is at most three times its data: tensors as counted by the allocator, and arrays."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch.profiler import ProfilerActivity, profile

from src.data import datamodule, tabular
from src.data.dataframe import digest
from src.data.datamodule import StackedDataModule
from src.data.tabular import CsvTable
from tests.commands import parametrize

SETTINGS = ("export=none", "figures=none", "predictions=false", "trainer.max_epochs=1", "data.batch_size=2000")
DATA = 1_000_000 * (2 * 4 + 8)  # bytes of a million samples: two features in single precision, and a label


DISTRIBUTIONS = [
    ("classes=2", "data.samples_per_class=500_000"),
    ("classes=8", "data.samples_per_class=125_000", "data.noise=gaussian"),
    ("classes=2", "data.samples_per_class=500_000", "data.priors=[0.3,0.7]", "data.flip=0.1", "data.val_fraction=0.2"),
    ("data=gaussians", "data.samples=1_000_000"),
    ("data=xor", "data.samples_per_corner=250_000"),
]


def peak_of_tensors(profiler: profile, folder: Path) -> int:
    """Return the largest number of bytes of all tensors together."""
    profiler.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    counts = [event["args"] for event in events if event["name"] == "[memory]"]
    before = counts[0]["Total Allocated"] - counts[0]["Bytes"]  # what an earlier test may have left
    peak: int = max(count["Total Allocated"] for count in counts) - before
    return peak


@parametrize("overrides", DISTRIBUTIONS, quick=1)
def test_the_tensors_of_a_run_stay_within_three_times_its_data(
    overrides: tuple[str, ...], train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a population that takes the same memory for any sample.
    for name, value in (("population.RESOLUTION", 8), ("population.PANELS", 4), ("cubic_lines.MAX_LINES", 16)):
        monkeypatch.setattr(f"src.metrics.{name}", value)
    monkeypatch.setattr("src.metrics.cubic_lines.MAX_PANELS", 4)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train("model.hidden=[4]", *SETTINGS, *overrides)
    assert DATA < peak_of_tensors(profiler, tmp_path) < 3 * DATA


ROWS, COLUMNS = 40_000, 50
TABLE = ROWS * COLUMNS * 8  # bytes


def write_table(path: Path, rows: int) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, COLUMNS))).assign(y=["u", "v"] * (rows // 2))
    table.to_csv(path, index=False)


@pytest.mark.integration
def test_a_table_is_read_and_encoded_within_three_times_its_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "table.csv")
    write_table(tmp_path / "table.csv", ROWS)
    tracemalloc.start()
    try:
        source = CsvTable(2, path=path, target="y", missing="error", sha256=digest(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert int(source.frame.features.memory_usage(index=False).sum()) == TABLE
    assert 2 * TABLE < peak < 3 * TABLE


@pytest.mark.integration
@pytest.mark.parametrize("seed", ["0", "[0,1,2,3,4,5,6,7]"], ids=["one seed", "eight seeds"])
def test_seeds_share_a_large_table_within_about_3_times_its_memory(
    seed: str, train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datamodule, "MAX_INPUTS", 0)  # the table is small, so that the test is fast
    for module in (datamodule, tabular):
        monkeypatch.setattr(module, "MAX_BLOCK", 500)
    words = ("data=csv", "data.target=y", f"seed={seed}", "model.hidden=[4]", "+trainer.max_steps=2", *SETTINGS)
    write_table(tmp_path / "small.csv", 100)
    write_table(tmp_path / "table.csv", ROWS)
    train("data.path=small.csv", *words)  # imports all there is
    held: list[int] = []  # bytes of arrays, which are not those of tensors
    setup = StackedDataModule.setup

    def measured_setup(self: StackedDataModule, stage: str | None = None) -> None:
        held.append(tracemalloc.get_traced_memory()[0])
        setup(self, stage)

    monkeypatch.setattr(StackedDataModule, "setup", measured_setup)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        tracemalloc.start()
        try:
            train("data.path=table.csv", *words)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    tensors = peak_of_tensors(profiler, tmp_path)
    # Tensors are most while the moments of a seed are estimated; seeds add the indices of their splits alone.
    assert peak < 2.5 * TABLE
    assert 2 * TABLE < held[0] + tensors < 3.3 * TABLE
