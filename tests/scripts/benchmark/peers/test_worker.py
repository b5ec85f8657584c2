import multiprocessing
import threading
from collections.abc import Iterator

import pytest
import torch
from hydra.core.singleton import Singleton

from scripts.benchmark.peers import worker
from scripts.benchmark.peers.work import cross_entropy, work
from scripts.benchmark.peers.worker import Order

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


def reports(order: Order, words: int) -> list[object]:
    """Return what a worker says that is told to go on some times."""
    mine, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=worker.run, args=(order, theirs))
    thread.start()
    said = [mine.recv()]
    for _ in range(words):
        mine.send(None)
        said.append(mine.recv())
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert not mine.poll()
    return said


def test_a_worker_reports_each_stretch_and_the_losses_in_the_end() -> None:
    *stretches, losses = reports(Order("losslab", (3, 5), (2, 1, 1), overrides=TINY), words=3)
    assert stretches == [[], [], []]
    task = work((3, 5), (4,), overrides=TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task.parts.datamodule, "trainer", None, raising=False)
        from scripts.benchmark.peers import losslab

        layers = losslab.train(task, lambda: None)
    assert losses == list(cross_entropy(layers, task.x, task.target))


def test_a_worker_reports_the_losses_of_the_networks_that_it_trained() -> None:
    losses = reports(Order("loop", (4, 5, 6), (1, 1), threads=1, overrides=TINY), words=2)[-1]
    assert isinstance(losses, list)
    assert len(losses) == 1


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            Order("nobody", (0,), (1,), overrides=TINY),
            "ModuleNotFoundError: No module named 'scripts.benchmark.peers.nobody'",
        ),
        (
            Order("losslab", (0,), (1,), overrides=("data.samples_per_class=0",)),
            "SettingsError: Expected `data.samples_per_class` to be a whole number from 2 to 1000000, got 0.",
        ),
    ],
)
def test_a_worker_reports_what_goes_wrong(order: Order, message: str) -> None:
    assert reports(order, words=0) == [message]
