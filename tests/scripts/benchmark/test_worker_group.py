import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest

from scripts.benchmark.backends.worker import Assignment
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.worker_group import WorkerGroup, _Member


@pytest.mark.integration
def test_a_group_trains_in_processes_of_its_own_and_names_one_that_dies() -> None:
    assignment = Assignment("loop", (0,), (1, 20, 1), threads=1, overrides=("data.samples_per_class=10",))
    with WorkerGroup("loop, one process", [assignment]) as group:
        [member] = group.members
        assert member.process.pid != os.getpid()
        long = group.segment()
        short = group.segment()
        assert 0 < short < long  # 20 epochs, 1 epoch
        os.kill(member.process.pid, signal.SIGKILL)
        member.process.join()
        with pytest.raises(BenchmarkError, match=r"^the backend loop, one process ended with code -9$"):
            group.losses()


def test_all_workers_start_before_the_first_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    process = SimpleNamespace(start=lambda: None, terminate=lambda: None, join=lambda: None)
    context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=lambda **_: process)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    monkeypatch.setattr(WorkerGroup, "_reports", lambda group: waited.append(len(group.members)))
    with WorkerGroup("loop, one process per core", [Assignment("loop", (seed,), (1, 1)) for seed in range(3)]):
        assert waited == [3]


def made_up(*reports: object) -> WorkerGroup:
    """Return a group whose workers have reported something already."""
    group = WorkerGroup("jax, one process", [])
    for report in reports:
        mine, theirs = multiprocessing.Pipe()
        theirs.send(report)
        group.members.append(_Member(SimpleNamespace(exitcode=None, other=theirs), mine))
    return group


def test_the_losses_of_all_workers_are_put_together_or_a_failure_named() -> None:
    assert made_up([0.5, 0.25], [0.125]).losses() == [0.5, 0.25, 0.125]
    with pytest.raises(BenchmarkError, match=r"^the backend jax, one process failed: MemoryError: too large$"):
        made_up([], "MemoryError: too large").segment()
