import subprocess
import sys
from pathlib import Path

import pytest

from src.storage import locks
from src.storage.locks import lock_free, remove_abandoned

HOLD = """
import sys
from pathlib import Path
from src.storage.locks import lock_free
with lock_free(Path(sys.argv[1]), sys.argv[2:]) as names:
    print(*names, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path):
    """Start a process that holds what is free of some names until its input is closed; return it and the names."""
    started = []

    def start(*names: str):
        command = [sys.executable, "-c", HOLD, str(tmp_path), *names]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().split()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_another_process_has_is_left_out(tmp_path: Path, other):
    _, taken = other("seed=0", "seed=1")
    assert taken == ["seed=0", "seed=1"]
    with lock_free(tmp_path, ["seed=0", "seed=1", "seed=2", "seed=10"]) as names:
        assert names == ["seed=2", "seed=10"]
        _, rest = other("seed=2", "seed=3")
        assert rest == ["seed=3"]


def test_the_locks_of_a_killed_process_are_free(tmp_path: Path, other):
    process, _ = other("seed=0")
    process.kill()
    process.wait()
    with lock_free(tmp_path, ["seed=0"]) as names:
        assert names == ["seed=0"]
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path, other):
    process, _ = other("seed=0")
    other("seed=1")
    before = set(tmp_path.iterdir())
    process.kill()
    process.wait()
    remove_abandoned(tmp_path)
    assert len(before - set(tmp_path.iterdir())) == 2
    assert other("seed=0", "seed=1")[1] == ["seed=0"]


def test_locks_end_with_the_body_however_it_ends(tmp_path: Path, other):
    with pytest.raises(ValueError, match="unlucky"), lock_free(tmp_path, ["seed=0"]):
        raise ValueError("unlucky")
    assert other("seed=0")[1] == ["seed=0"]


def test_where_all_is_taken_it_waits(tmp_path: Path, other, monkeypatch):
    process, _ = other("seed=0", "seed=1")
    waits = []

    def end_the_other(seconds: float) -> None:
        waits.append(seconds)
        process.communicate()

    monkeypatch.setattr(locks.time, "sleep", end_the_other)
    with lock_free(tmp_path, ["seed=0", "seed=1"]) as names:
        assert names == ["seed=0", "seed=1"]
    assert waits == [locks.POLL_SECONDS]


def test_thousands_of_names_take_one_lock(tmp_path: Path, other):
    every = [f"seed={seed},init={seed}" for seed in range(5000)]
    with lock_free(tmp_path, every) as names:
        assert names == every
        assert len(list(tmp_path.iterdir())) == 3  # the guard, the lock and its names
        assert other("seed=4999,init=4999", "seed=5000,init=5000")[1] == ["seed=5000,init=5000"]


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_directory_that_is_gone(moment: str, tmp_path: Path):
    folder = tmp_path / "condition"
    if moment == "before":
        with pytest.raises(FileNotFoundError), lock_free(folder, ["seed=0"]):
            pytest.fail("the body must not run")
        return
    folder.mkdir()
    with lock_free(folder, ["seed=0"]):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert not folder.exists()


def test_without_waiting_there_may_be_no_free_name(tmp_path: Path) -> None:
    with lock_free(tmp_path, ["seed=0"]), lock_free(tmp_path, ["seed=0", "seed=1"], wait=False) as names:
        assert names == ["seed=1"]
        with lock_free(tmp_path, ["seed=0", "seed=1"], wait=False) as none:
            assert none == []
    assert not list(tmp_path.glob(".lock-*"))
