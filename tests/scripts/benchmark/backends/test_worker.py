import multiprocessing
import threading
from collections.abc import Iterator

import pytest
import torch
from hydra.core.singleton import Singleton

from scripts.benchmark.backends import worker
from scripts.benchmark.backends.work import cross_entropy, work
from scripts.benchmark.backends.worker import Assignment

TINY = ("data.samples_per_class=10",)


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker may set the environment and the threads of its process, which here is that of the tests."""
    state, threads = Singleton.get_state(), torch.get_num_threads()
    for name in worker.THREADS:
        monkeypatch.setenv(name, "1")
    yield
    Singleton.set_state(state)
    torch.set_num_threads(threads)


def reports(assignment: Assignment, words: int) -> list[object]:
    """Return the reports of a worker that is resumed some times."""
    mine, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=worker.run, args=(assignment, theirs))
    thread.start()
    reported = [mine.recv()]
    for _ in range(words):
        mine.send(None)
        reported.append(mine.recv())
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert not mine.poll()
    return reported


def test_a_worker_reports_each_segment_and_the_losses_in_the_end() -> None:
    *segments, losses = reports(Assignment("losslab", (3, 5), (2, 1, 1), overrides=TINY), words=3)
    assert segments == [[], [], []]
    task = work((3, 5), (4,), overrides=TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task.parts.datamodule, "trainer", None, raising=False)
        from scripts.benchmark.backends import losslab

        layers = losslab.train(task, lambda: None)
    assert losses == list(cross_entropy(layers, task.x, task.target))


def test_a_worker_reports_the_losses_of_the_networks_that_it_trained() -> None:
    losses = reports(Assignment("loop", (4, 5, 6), (1, 1), threads=1, overrides=TINY), words=2)[-1]
    assert isinstance(losses, list)
    assert len(losses) == 1


@pytest.mark.parametrize(
    ("module", "samples", "message"),
    [
        ("nobody", 10, "ModuleNotFoundError: No module named 'scripts.benchmark.backends.nobody'"),
        ("losslab", 0, "SettingsError: Expected `data.samples_per_class` to be a whole number"),
    ],
)
def test_a_worker_reports_what_goes_wrong(module: str, samples: int, message: str) -> None:
    assignment = Assignment(module, (0,), (1,), overrides=(f"data.samples_per_class={samples}",))
    [report] = reports(assignment, words=0)
    assert str(report).startswith(message)
