"""The memory of a run, which is at most three times its data: the tensors as counted by the allocator."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch.profiler import ProfilerActivity, profile

from src.data.dataframe import digest
from src.data.tabular import CsvTable
from src.metrics import population
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


@parametrize("overrides", DISTRIBUTIONS, quick=1)
def test_the_tensors_of_a_run_stay_within_three_times_its_data(
    overrides: tuple[str, ...], train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RESOLUTION", 8), ("PANELS", 4), ("MAX_PANELS", 4), ("MAX_LINES", 16)):
        monkeypatch.setattr(population, name, value)  # of a population that takes the same memory for any sample
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train("model.hidden=[4]", *SETTINGS, *overrides)
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    counts = [event["args"] for event in events if event["name"] == "[memory]"]
    before = counts[0]["Total Allocated"] - counts[0]["Bytes"]  # what an earlier test may have left
    assert DATA < max(count["Total Allocated"] for count in counts) - before < 3 * DATA


@pytest.mark.integration
def test_a_table_is_read_and_encoded_within_three_times_its_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "table.csv")
    rows = 40_000
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, 50))).assign(y=["u", "v"] * (rows // 2))
    table.to_csv(path, index=False)
    tracemalloc.start()
    try:
        source = CsvTable(2, path=path, target="y", missing="error", sha256=digest(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    data = int(source.frame.features.memory_usage(index=False).sum())
    assert data == rows * 50 * 8
    assert 2 * data < peak < 3 * data
