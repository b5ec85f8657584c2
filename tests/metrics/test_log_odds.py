import numpy as np
import pytest
import torch
from torch import Generator

from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.bce_onevsrest import OneVsRest
from src.losses.ce import CrossEntropy
from src.losses.mse import MeanSquaredError
from src.losses.none import LogProbabilities
from src.metrics.log_odds import log_odds
from src.models.gaussian import Gaussian
from src.models.gaussian_shared import GaussianShared
from src.models.linear import Linear

x = torch.randn(2, 50, 3, generator=Generator().manual_seed(0))
target = torch.arange(50).remainder(3).repeat(2, 1)


def linear(out_features: int) -> Linear:
    return Linear(3, out_features, [Generator().manual_seed(seed) for seed in (0, 1)], init="normal", init_std=0.7)


def shared(classes: int) -> GaussianShared:
    network = GaussianShared(3, classes, [Generator(), Generator()])
    assert network.fit(x, target.clamp_max(classes - 1)) == [None, None]
    return network


@pytest.mark.parametrize(
    ("network", "objective", "classes"),
    [
        (linear(1), BinaryCrossEntropy(2), 2),
        (linear(2), CrossEntropy(2), 2),
        (linear(3), CrossEntropy(3), 3),
        (shared(2), LogProbabilities(2), 2),
        (shared(3), LogProbabilities(3), 3),
    ],
)
def test_they_are_the_log_odds_of_the_probabilities(
    network: torch.nn.Module, objective: Objective, classes: int
) -> None:
    for index in range(2):
        found = log_odds(network, objective, index)
        assert len(found) == 4 * (classes - 1)
        with torch.no_grad():
            outputs = network(x)[index : index + 1].double()
        probabilities = objective.probabilities(outputs)
        assert probabilities is not None
        for label in range(1, classes):
            w = np.array([found[f"log_odds/{label}/w{feature}"] for feature in (1, 2, 3)])
            expected = (probabilities[0, :, label] / probabilities[0, :, 0]).log()
            got = x[index].double().numpy() @ w + found[f"log_odds/{label}/b"]
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "objective"),
    [
        (linear(1), MeanSquaredError(2)),
        (linear(3), OneVsRest(3)),
        (Gaussian(3, 2, [Generator(), Generator()]), LogProbabilities(2)),
    ],
)
def test_none_where_not_linear_or_without_probabilities(network: torch.nn.Module, objective: Objective) -> None:
    assert log_odds(network, objective, 0) == {}
