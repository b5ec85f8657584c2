import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import CompactHydraException

from src.parallel.process_pool import START_METHOD, DeadWorkerError, ProcessPool
from src.parallel.worker import JobResult, Progress, StdoutChunk, reporter
from tests.commands import is_running, parametrize, started, wait_until

Messages = list[tuple[int, Any]]


def run(execute: Callable[[int, Any], Any], jobs: list[Any], workers: int = 2) -> tuple[list[JobResult], Messages]:
    received: Messages = []
    results = ProcessPool(execute, workers).run(jobs, lambda number, message: received.append((number, message)))
    return results, received


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    def slow_first(number: int, job: int) -> int:
        time.sleep(0.1 * (number == 0))
        return job * job

    results, _ = run(slow_first, [1, 2, 3, 4], workers)
    assert [result.value for result in results] == [1, 4, 9, 16]


def test_no_more_processes_than_asked_for_work_and_each_takes_several_jobs() -> None:
    results, _ = run(lambda *_: (time.sleep(0.05), os.getpid())[1], [0] * 6)
    assert len({result.value for result in results}) == 2
    assert os.getpid() not in {result.value for result in results}


def test_the_environment_chooses_the_start_method(monkeypatch: pytest.MonkeyPatch) -> None:
    offset = 10  # reaches the worker with the function, by value
    monkeypatch.setenv(START_METHOD, "spawn")
    results, _ = run(lambda _, job: job + offset, [1, 2])
    assert [result.value for result in results] == [11, 12]
    monkeypatch.setenv(START_METHOD, "thread")
    with pytest.raises(CompactHydraException, match=rf"`{START_METHOD}` to be one of .*spawn.*, got thread"):
        run(lambda *_: None, [1])


def test_what_a_job_raises_is_its_result_alone() -> None:
    def unlucky(_: int, job: int) -> int:
        if job == 13:
            raise ValueError("unlucky")
        if job == 14:
            raise SystemExit("enough")
        return job

    results, _ = run(unlucky, [12, 13, 14, 15])
    assert [result.value for result in results] == [12, None, None, 15]
    assert isinstance(results[1].error, ValueError)
    assert [str(result.error) for result in results[1:3]] == ["unlucky", "The job exited: enough"]


def test_what_cannot_be_pickled_is_told_in_words() -> None:
    class AwkwardError(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("no")

    def return_frame(_: int, job: str) -> Any:
        if job == "raised":
            raise AwkwardError("stuck")
        return sys._getframe()

    results, _ = run(return_frame, ["raised", "returned"])
    assert str(results[0].error) == "AwkwardError: stuck"
    assert "pickle" in str(results[1].error)


def test_a_worker_that_dies_costs_its_own_job_only() -> None:
    def fatal(_: int, job: str) -> str:
        if job == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "left":
            os._exit(7)
        return job

    results, _ = run(fatal, ["killed", "a", "left", "b", "c"])
    assert [result.value for result in results] == [None, "a", None, "b", "c"]
    assert all(isinstance(results[index].error, DeadWorkerError) for index in (0, 2))
    assert str(results[0].error).startswith("The worker process was killed by SIGKILL (out of memory?)")
    assert str(results[2].error).startswith("The worker process ended with code 7")


def test_what_a_job_prints_and_reports_is_heard_before_its_result() -> None:
    def print_and_report(number: int, job: str) -> None:
        print("out", job)
        print("err", job, file=sys.stderr, end="")
        report = reporter()
        assert report is not None
        report(job, 1, 2, "half")

    _, received = run(print_and_report, ["one", "two"])
    for number, job in enumerate(("one", "two")):
        messages = [message for who, message in received if who == number]
        assert messages[0] == StdoutChunk("stdout", f"out {job}\n")
        assert sorted(map(str, messages[1:3])) == sorted(
            map(str, [Progress(job, 1, 2, "half"), StdoutChunk("stderr", f"err {job}")])
        )
        assert messages[3] == JobResult(None)
    assert reporter() is None


SLEEP = """
import sys, time
from src.parallel.process_pool import ProcessPool

def job(number, folder):
    open(f"{folder}/{number}", "w").write(str(__import__("os").getpid()))
    time.sleep(60)

ProcessPool(job, 2).run([sys.argv[1]] * 3, lambda *_: None)
"""


@parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], quick=1)
def test_no_worker_outlives_the_process_that_started_it(tmp_path: Path, how: signal.Signals) -> None:
    def pids() -> list[str]:
        return [path.read_text() for path in tmp_path.iterdir()]

    with started([sys.executable, "-c", SLEEP, str(tmp_path)], tmp_path.parent) as process:
        wait_until(lambda: len(pids()) == 2 and all(pids()))
        process.send_signal(how)
        process.communicate(timeout=120)
    wait_until(lambda: not any(map(is_running, pids())))
    assert len(list(tmp_path.iterdir())) == 2  # the third job was never started
