"""The memory of a run, which is at most three times its data: the tensors as counted by the allocator."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.profiler import ProfilerActivity, profile

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
    monkeypatch.setattr(population, "RESOLUTION", 8)  # of a population that takes the same memory for any sample
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train("model.hidden=[4]", *SETTINGS, *overrides)
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    counts = [event["args"] for event in events if event["name"] == "[memory]"]
    before = counts[0]["Total Allocated"] - counts[0]["Bytes"]  # what an earlier test may have left
    assert DATA < max(count["Total Allocated"] for count in counts) - before < 3 * DATA
