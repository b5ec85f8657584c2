"""A report on 100,000 seeds that are stored as tables: in bounded memory, from few files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.experiments import run
from src.storage.stack_table import stacks
from src.utils.seeds import SEED_KEYS

STACKS, SEEDS = 25, 2000  # of each of two conditions
MAX_BYTES = 2_000_000_000
PROGRAM = """
import resource, sys
from pathlib import Path
from src.analysis.collect import collect
from src.analysis.run_files import read_curves
collection = collect([Path(sys.argv[1])])
curves, problems = read_curves(collection.runs)
assert not problems and not any(collection.problems.values())
print(len(collection.runs), sum(each.loss.size for each in curves.values()), collection.runs["test/accuracy"].sum())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def repeated(template: Path, target: Path, seeds: range, accuracy: np.ndarray) -> None:
    """Write a stack whose seeds have the results of the one in the template, except their accuracy."""
    target.mkdir(parents=True)
    for name in ("results.parquet", "history.parquet"):
        row = pd.read_parquet(template / name)
        table = pd.concat([row] * len(seeds), ignore_index=True).assign(run=[f"seed={seed}" for seed in seeds])
        if name == "results.parquet":
            words = [json.dumps(["loss=ce", f"seed={seed}"]) for seed in seeds]
            table = table.assign(overrides=words, **dict.fromkeys(SEED_KEYS, seeds), **{"test/accuracy": accuracy})
        table.to_parquet(target / name, index=False)


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux counts it")
def test_a_hundred_thousand_seeds_are_read_in_bounded_memory(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    small = {"data": {"samples_per_class": 10}, "trainer": {"max_epochs": 1}, "figures": "none", "predictions": False}
    accuracy = np.random.default_rng(0).random((2, STACKS, SEEDS))
    for loss, each in zip(("ce", "mse"), accuracy, strict=True):
        run(loss=loss, storage="table", output_dir=tmp_path, **small)
        [condition] = tmp_path.glob(f"runs/loss={loss}*")
        [template] = stacks(condition)
        for number, values in enumerate(each):
            seeds = range(number * SEEDS, (number + 1) * SEEDS)
            repeated(template, tmp_path / "many" / condition.name / f"stack-{number}", seeds, values)
    files = [path for path in (tmp_path / "many").rglob("*") if path.is_file()]
    assert len(files) < 1000
    assert sum(path.stat().st_size for path in files) < accuracy.size * 2_000
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "many"], capture_output=True, text=True, check=True
    )
    counts, memory = done.stdout.splitlines()
    runs, losses, total = map(float, counts.split())
    assert runs == losses == accuracy.size
    assert total == pytest.approx(accuracy.sum())
    assert int(memory) < MAX_BYTES
