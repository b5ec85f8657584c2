import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.storage.locks import claimed

CLAIM = """
import sys, time
from pathlib import Path
from src.storage.locks import claimed
with claimed(Path(sys.argv[1]), sys.argv[3:]) as names:
    print(*names, flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def other(tmp_path: Path):
    """Start a process that claims what it can of some names in the folder and return it with what it got."""
    started = []

    def start(seconds: float, *names: str):
        command = [sys.executable, "-c", CLAIM, str(tmp_path), str(seconds), *names]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().split()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_what_another_process_has_is_left_out(tmp_path: Path, other):
    _, taken = other(60, "seed=0", "seed=1")
    assert taken == ["seed=0", "seed=1"]
    with claimed(tmp_path, ["seed=0", "seed=1", "seed=2", "seed=10"]) as names:
        assert names == ["seed=2", "seed=10"]
        _, rest = other(60, "seed=2", "seed=3")
        assert rest == ["seed=3"]


def test_the_claims_of_a_killed_process_are_free(tmp_path: Path, other):
    process, _ = other(60, "seed=0")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with claimed(tmp_path, ["seed=0"]) as names:
        assert names == ["seed=0"]


def test_claims_end_with_the_body_however_it_ends(tmp_path: Path, other):
    with pytest.raises(ValueError, match="unlucky"), claimed(tmp_path, ["seed=0"]):
        raise ValueError("unlucky")
    assert other(0, "seed=0")[1] == ["seed=0"]


def test_where_all_is_taken_it_waits(tmp_path: Path, other):
    started = time.monotonic()
    other(1, "seed=0", "seed=1")
    with claimed(tmp_path, ["seed=0", "seed=1"]) as names:
        assert names[0] == "seed=0"
    assert time.monotonic() - started > 0.9


def test_two_thousand_claims_take_one_open_file(tmp_path: Path, other):
    every = [f"seed={seed},init={seed}" for seed in range(2000)]
    with claimed(tmp_path, every) as names:
        assert names == every
        assert other(0, "seed=1999,init=1999", "seed=2000,init=2000")[1] == ["seed=2000,init=2000"]
        handles = Path("/proc/self/fd")
        assert not handles.exists() or sum(path.resolve().name == ".lock" for path in handles.iterdir()) == 1


def test_a_folder_that_is_gone(tmp_path: Path):
    with pytest.raises(FileNotFoundError), claimed(tmp_path / "gone", ["seed=0"]):
        pytest.fail("the body must not run")
