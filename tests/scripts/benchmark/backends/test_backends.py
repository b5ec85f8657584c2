"""Every backend trains the same networks on the same samples, which one mini-batch per epoch leaves unshuffled."""

import dataclasses
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.core.singleton import Singleton

from scripts.benchmark.backends.work import Layers, Work, cross_entropy, work
from scripts.benchmark.engine import BACKENDS

SEEDS, SEGMENTS = (3, 5), (2, 4)
WHOLE = ("data.batch_size=128", "model.hidden=[6,8]", "model.init=kaiming")  # learns at once, unlike N(0, 0.02)


@pytest.fixture(autouse=True)
def hydra_as_before() -> Iterator[None]:
    before = Singleton.get_state()  # Hydra's own tests, in this process too, need its default version base
    yield
    Singleton.set_state(before)


@pytest.fixture
def whole_batches() -> Work:
    """Return the work on two networks of other widths than the lecture's, all of whose samples are one mini-batch."""
    return work(SEEDS, SEGMENTS, overrides=WHOLE)


def oracle(task: Work, index: int) -> Layers:
    """Train one network by torch's own Adam and autograd in float64, and return its parameters with S = 1."""
    layers = [
        (torch.tensor(weight[index]).double().requires_grad_(), torch.tensor(bias[index]).double().requires_grad_())
        for weight, bias in task.layers
    ]
    x, target = torch.from_numpy(task.x[index]).double(), torch.from_numpy(task.target[index])
    optimizer = torch.optim.Adam([parameter for layer in layers for parameter in layer], lr=task.lr)
    for _ in range(sum(task.segments)):
        hidden = x
        for number, (weight, bias) in enumerate(layers):
            hidden = (hidden.relu() if number else hidden) @ weight + bias
        optimizer.zero_grad()
        F.cross_entropy(hidden, target).backward()
        optimizer.step()
    return [(weight.detach().numpy()[None], bias.detach().numpy()[None]) for weight, bias in layers]


def trained(name: str, task: Work) -> tuple[Layers, int]:
    """Train by a backend and return the parameters and how often it paused."""
    if BACKENDS[name].needs != "jax":
        return train_here(name, task)
    if not importlib.util.find_spec("jax"):
        pytest.skip("jax is not installed")
    # JAX keeps threads, beside which other tests could not fork in this process any more.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(train_here, name, dataclasses.replace(task)).result()  # a copy that has built nothing yet


def train_here(name: str, task: Work) -> tuple[Layers, int]:
    train: Callable[..., Layers] = importlib.import_module(f"scripts.benchmark.backends.{BACKENDS[name].module}").train
    pauses: list[None] = []
    flushed, threads = torch.tensor(1e-310, dtype=torch.float64) * 1 == 0, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(task, lambda: pauses.append(None)), len(pauses)
    finally:
        torch.set_flush_denormal(bool(flushed))
        torch.set_num_threads(threads)


SLOW = {"compiled": pytest.mark.integration}  # compiles for half a minute


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in BACKENDS if name != "sklearn"]
)
def test_a_backend_trains_the_networks_of_the_work(name: str, whole_batches: Work) -> None:
    before = cross_entropy(whole_batches.layers, whole_batches.x, whole_batches.target)
    expected = [oracle(whole_batches, index) for index in range(len(SEEDS))]
    layers, pauses = trained(name, whole_batches)
    assert pauses == len(SEGMENTS)
    count = len(SEEDS) if BACKENDS[name].batched else 1
    for number, layer in enumerate(layers):
        for part, values in enumerate(layer):  # the weight, the bias
            reference = np.concatenate([each[number][part] for each in expected[:count]])
            np.testing.assert_allclose(values, reference, rtol=1e-3, atol=2e-5)
    after = cross_entropy(layers, whole_batches.x[:count], whole_batches.target[:count])
    assert (after < before[:count] - 0.005).all()


def test_scikit_learn_trains_the_same_network_but_for_its_one_output(whole_batches: Work) -> None:
    before = cross_entropy(whole_batches.layers, whole_batches.x, whole_batches.target)
    start = whole_batches.layers
    layers, pauses = trained("sklearn", whole_batches)
    assert pauses == len(SEGMENTS)
    assert [weight.shape for weight, _ in layers] == [weight[:1].shape for weight, _ in start]
    assert not layers[-1][0][..., 0].any()
    assert not np.array_equal(layers[0][0], start[0][0][:1])
    assert np.abs(layers[0][0] - start[0][0][:1]).max() <= 1.01 * sum(SEGMENTS) * whole_batches.lr
    assert cross_entropy(layers, whole_batches.x[:1], whole_batches.target[:1])[0] < before[0] - 0.005


def test_jax_in_chunks_trains_what_it_trains_at_once() -> None:
    results = [trained("jax", work((0, 1, 2), (2, 1), chunk, ("data.samples_per_class=10",)))[0] for chunk in (None, 2)]
    for (weight, bias), (other_weight, other_bias) in zip(*results, strict=True):
        np.testing.assert_allclose(weight, other_weight, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(bias, other_bias, rtol=1e-4, atol=1e-6)


@pytest.mark.integration
@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_takes_mini_batches_of_five_and_an_odd_one(name: str) -> None:
    task = work((0,), (1, 1), overrides=("data.samples_per_class=10", "trainer.max_epochs=2"))
    assert task.x.shape == (1, 16, 2)  # three mini-batches of 5, one of 1
    layers, _ = trained(name, task)
    moved = max(np.abs(after - before).max() for (after, _), (before, _) in zip(layers, task_start(), strict=True))
    assert 4 * task.lr < moved <= 8 * task.lr * 1.3  # Adam's first steps are of length lr: 8 of them


def task_start() -> Layers:
    return work((0,), (1,), overrides=("data.samples_per_class=10",)).layers


def test_the_loss_is_that_of_torch() -> None:
    task = work((0, 1), (1,), overrides=("data.samples_per_class=10", "model.init=kaiming"))
    outputs = task.parts.network(torch.from_numpy(task.x))
    expected = task.parts.objective.loss(outputs, torch.from_numpy(task.target))
    np.testing.assert_allclose(cross_entropy(task.layers, task.x, task.target), expected.detach().numpy(), rtol=1e-5)
