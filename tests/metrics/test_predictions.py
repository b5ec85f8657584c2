import math
import threading

import numpy as np
import pytest
import torch

from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy
from src.metrics.predictions import predict, seed_network, seed_networks, seed_state, with_weights
from tests.metrics.references import (
    every_objective,
    generators,
    make_distribution,
    make_stack,
    reference_preds,
    reference_probabilities,
)


@every_objective
def test_predict_applies_decision_and_probabilities(objective: Objective, classes: int) -> None:
    outputs = torch.randn(50, objective.out_features, generator=generators(0)[0]) * 2
    predictions = predict(outputs, objective)
    assert predictions.preds.tolist() == reference_preds(objective, outputs.double().numpy(), classes)
    expected = reference_probabilities(objective, outputs.double().numpy())
    if expected is None:
        assert predictions.probabilities is None
    else:
        assert predictions.probabilities is not None
        assert predictions.probabilities.dtype == torch.float64
        np.testing.assert_allclose(predictions.probabilities.numpy(), expected, rtol=1e-12)


def test_small_probabilities_survive_single_precision_outputs() -> None:
    predictions = predict(torch.tensor([[0.0, -300.0], [-300.0, 0.0]]), CrossEntropy(2))
    assert predictions.probabilities is not None
    assert predictions.probabilities.min().item() == pytest.approx(math.exp(-300), rel=1e-9)
    assert predict(torch.tensor([[-300.0]]), BinaryCrossEntropy(2)).probabilities.tolist() == [
        [1, pytest.approx(math.exp(-300), rel=1e-9)]
    ]


def test_each_seed_of_a_stack_is_the_network_that_it_is_in_the_stack() -> None:
    stack = make_stack(CrossEntropy(3), seeds=4)
    x = torch.randn(4, 30, 2, generator=generators(0)[0])
    with torch.no_grad():
        together = stack(x)
    for index in range(4):
        outputs = seed_network(stack, index)(x[index])
        assert outputs.shape == (30, 3)
        assert not outputs.requires_grad
        torch.testing.assert_close(outputs, together[index], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


def test_a_seed_of_a_stack_is_bitwise_the_network_alone_in_its_precision() -> None:
    x, _ = make_distribution(2).population(64)
    stacked = seed_network(make_stack(CrossEntropy(2), seeds=3), 0)(x)
    alone = seed_network(make_stack(CrossEntropy(2), seeds=1), 0)(x)
    assert alone.dtype == torch.float32
    assert torch.equal(stacked, alone)
    assert seed_network(make_stack(CrossEntropy(2)).double(), 0)(x).dtype == torch.float64


def test_seeds_with_weights_of_their_own_are_those_of_the_stack() -> None:
    stack = make_stack(CrossEntropy(3), seeds=4)
    stack.register_buffer("scale", torch.arange(1.0, 5.0)[:, None, None])
    x = torch.randn(30, 2, generator=generators(0)[0])
    networks = seed_networks(stack, [3, 1])
    for index, network in zip([3, 1], networks, strict=True):
        assert torch.equal(network(x), seed_network(stack, index)(x))
    with torch.no_grad():
        stack.head.weight.mul_(2)  # they may be views, and have no other weights either way
    assert len(stack.state_dict()["head.weight"]) == 4


def test_a_network_may_evaluate_a_single_seed_otherwise() -> None:
    stack, x = make_stack(CrossEntropy(2), seeds=2), torch.rand(5, 2)
    stack.evaluate_seed = lambda x: 3 * x  # type: ignore[method-assign]
    [network] = seed_networks(stack, [1])
    assert torch.equal(network(x), 3 * x)
    assert torch.equal(seed_network(stack, 1)(x), 3 * x)


def test_seeds_compute_on_a_device() -> None:
    [network] = seed_networks(make_stack(CrossEntropy(3), seeds=2), [1], torch.device("meta"))
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):  # and not into one
        network(torch.zeros(5, 2))


def test_a_module_that_cannot_be_copied_is_given_the_weights() -> None:
    stack = make_stack(CrossEntropy(3), seeds=2)
    stack.lock = threading.Lock()  # type: ignore[assignment]
    x = torch.randn(30, 2, generator=generators(0)[0])
    [network] = seed_networks(stack, [1])
    assert torch.equal(network(x), seed_network(stack, 1)(x))


def test_a_network_has_the_weights_of_one_seed_for_a_while_only() -> None:
    stack = make_stack(CrossEntropy(3), seeds=3)
    x = torch.randn(20, 2, generator=generators(1)[0])
    before = {name: value.clone() for name, value in stack.state_dict().items()}
    expected = stack(x.expand(3, -1, -1))
    twice = with_weights(stack, seed_state(stack, 1), lambda network: [network(x), network(x)])
    assert all(torch.equal(outputs, expected[1]) for outputs in twice)
    assert all(torch.equal(value, before[name]) for name, value in stack.state_dict().items())
