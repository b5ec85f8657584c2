"""What a stack keeps of a run, against the files that it would write."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.experiments.run_folder import RunFolder, StackedRun

NUMBERS = {
    "epoch": np.arange(1, 5),
    "train/loss": np.array([0.1, np.nan, np.inf, 1e-30], np.float32),
    "p0": np.array([1 / 3, -0.0, 1e16, 5e-324]),
}


def test_numbers_are_kept_as_they_are_read(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_numbers("history.csv", [NUMBERS])
    read = pd.read_csv(tmp_path / "history.csv", float_precision="round_trip")
    (tmp_path / "run").mkdir()
    run = StackedRun(tmp_path / "run")
    run.write_numbers(
        "history.csv", [{name: values[rows] for name, values in NUMBERS.items()} for rows in (slice(3), slice(3, 4))]
    )
    pd.testing.assert_frame_equal(pd.DataFrame(run.tables["history.csv"]), read, check_exact=True)
    assert not list(run.path.iterdir())


@pytest.mark.parametrize(
    "columns",
    [
        {"run": np.arange(2)},
        {"a,b": np.arange(2)},
        {0: np.arange(2)},
        {"epoch": np.empty(0)},
        {"big": np.array([2**63])},
    ],
    ids=["run", "comma", "number", "empty", "unsigned"],
)
def test_what_reading_might_change_stays_a_file(columns: dict[object, np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run = StackedRun(tmp_path / "run")
    run.write_numbers("history.csv", [columns])
    assert not run.tables
    assert (run.path / "history.csv").read_bytes() == pd.DataFrame(columns).to_csv(index=False).encode()
