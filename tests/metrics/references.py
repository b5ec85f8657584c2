"""Distributions, networks and the textbook formulas that metrics are compared with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.data.noisy_cubic import NoisyCubic
from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError
from src.losses.mse_sigmoid import SigmoidMeanSquaredError
from src.metrics.predictions import seed_network
from src.models.mlp import MLP

Floats = NDArray[np.float64]
Network = Callable[[Tensor], Tensor]
every_objective = pytest.mark.parametrize(
    ("objective", "classes"),
    [
        (CrossEntropy(4), 4),
        (SoftmaxCrossEntropy(3), 3),
        (BinaryCrossEntropy(2), 2),
        (MeanSquaredError(2), 2),
        (MeanSquaredError(4), 4),
        (OneHotMeanSquaredError(3), 3),
        (SigmoidMeanSquaredError(2), 2),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "decode") else str(value),
)


def make_distribution(classes: int, noise: str = "uniform", samples_per_class: int = 80, **changes: Any) -> NoisyCubic:
    shape = {"half_width": 0.2, "spacing": 0.2, "label_order": None, "priors": None, "flip": 0} | changes
    return NoisyCubic(classes, samples_per_class=samples_per_class, noise=noise, **shape)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def make_stack(objective: Objective, seeds: int = 1, scale: float = 3.0) -> MLP:
    """Return random networks whose outputs are far from constant."""
    shape = {"hidden": [20, 20], "activation": "relu", "init": "kaiming", "init_std": 0.02}
    stack = MLP(2, objective.out_features, generators(*range(seeds)), **shape)
    with torch.no_grad():
        stack.head.weight.mul_(scale)
        for bias, generator in zip(stack.head.bias, generators(*range(50, 50 + seeds)), strict=True):
            bias.normal_(0, 0.3, generator=generator)
    return stack


def make_network(objective: Objective, **kwargs: Any) -> Network:
    return seed_network(make_stack(objective, **kwargs), 0)


def reference_probabilities(objective: Objective, outputs: Floats) -> Floats | None:
    """Return the probabilities by the textbook formulas."""
    if isinstance(objective, CrossEntropy):
        exponential = np.exp(outputs - outputs.max(1, keepdims=True))
        return exponential / exponential.sum(1, keepdims=True)
    if isinstance(objective, BinaryCrossEntropy | SigmoidMeanSquaredError):
        one = 1 / (1 + np.exp(-outputs[:, 0]))
        return np.stack([1 - one, one], axis=1)
    return None


def reference_preds(objective: Objective, outputs: Floats, classes: int) -> list[int]:
    """Apply the decision rules as the lecture states them, one sample at a time."""
    if isinstance(objective, MeanSquaredError):
        return [min(range(classes), key=lambda label: abs(y - label)) for y in outputs[:, 0]]
    if isinstance(objective, BinaryCrossEntropy | SigmoidMeanSquaredError):
        return [int(z > 0) for z in outputs[:, 0]]
    return [int(np.argmax(row)) for row in outputs]
