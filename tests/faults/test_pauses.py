"""Sweeps that are stopped and continued, clocks that go backwards, pinned streams, and conditions that never began."""

import signal
import subprocess
import time

import pytest

from tests.commands import SHORT, posix, results
from tests.faults.studies import SWEEP, Forked, contents


@posix
@pytest.mark.integration
def test_a_sweep_that_is_stopped_and_continued_leaves_the_same(tmp_path, train, count):
    train(*SWEEP)
    (tmp_path / "paused").mkdir()
    with Forked(tmp_path / "paused", *SWEEP) as process:
        for _ in range(5):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            process.send_signal(signal.SIGCONT)
            try:
                process.communicate(timeout=0.3)
            except subprocess.TimeoutExpired:
                continue
            break
        process.communicate(timeout=300)
    assert process.returncode == 0
    assert contents(tmp_path / "paused" / "outputs") == contents(tmp_path / "outputs")
    count("pauses of a sweep", 5)


def test_a_clock_that_goes_backwards_changes_no_result(tmp_path, train, monkeypatch):
    words = (*SHORT, "seed=[0,1]")
    train(*words, "study=before")
    now = iter(range(2_000_000_000, 0, -1000))
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: float(next(now)))
        train(*words, "study=after")
    before, after = (results(tmp_path / "outputs" / study) for study in ("before", "after"))
    assert [each["metrics"] for each in after.values()] == [each["metrics"] for each in before.values()]
    assert all(each["seconds"] >= 0 for each in after.values())


@pytest.mark.integration
def test_pins_are_swept_and_crossed_with_seeds(tmp_path, train):
    train("--multirun", *SHORT, "seed=range(2)", "seeds.init=5,6", "hydra.sweeper.stack_size=3", "hydra/launcher=basic")
    found = sorted(path.name for path in tmp_path.glob("outputs/runs/*/seed=*"))
    assert found == ["seed=0,init=5", "seed=0,init=6", "seed=1,init=5", "seed=1,init=6"]
    alone = "study=alone"
    train(*SHORT, "seed=1", "seeds.init=6", alone)
    [one] = tmp_path.glob("outputs/alone/*/seed=1,init=6")
    [other] = tmp_path.glob("outputs/runs/*/seed=1,init=6")
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
