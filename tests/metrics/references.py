"""Distributions, networks and the textbook formulas that metrics are compared with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.data.gaussians import Gaussians
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


def normal_classes(classes: int) -> Gaussians:
    """Return the two classes of the slides, or three that differ more."""
    if classes == 2:
        means, covariances = [[75.0, 71.3], [55.6, 59.8]], [[[874, 327], [327, 929]], [[847, 422], [422, 685]]]
        return Gaussians(2, samples=140, means=means, covariances=covariances, priors=[79, 61])
    covariances = [[[1.0, 0.6], [0.6, 2.0]], [[0.3, 0.0], [0.0, 1.0]], [[2.0, -1.0], [-1.0, 1.0]]]
    means = [[0.0, 0.0], [1.5, 1.0], [-1.0, 2.0]]
    return Gaussians(3, samples=90, means=means, covariances=covariances, priors=[1, 2, 1])


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


def linear_regions(stack: MLP, corners: Floats) -> list[tuple[Floats, Floats, Floats]]:
    """Return the convex polygons in which a ReLU network is linear, with its weights and biases there.

    Args:
        stack: The network, a stack of one seed in double precision.
        corners: The corners of the polygon to cut (P, 2).
    """
    layers = [(layer.weight[0].detach().numpy(), layer.bias[0, 0].detach().numpy()) for layer, _ in stack.layers]
    regions = [(corners, np.eye(2), np.zeros(2))]
    for weight, bias in layers[:-1]:
        following = []
        for polygon, slope, offset in regions:
            slope, offset = slope @ weight, offset @ weight + bias
            parts = [polygon]
            for unit in range(len(offset)):
                parts = [half for part in parts for half in halves(part, part @ slope[:, unit] + offset[unit])]
            for part in parts:
                active = part.mean(0) @ slope + offset > 0
                following.append((part, slope * active, offset * active))
        regions = following
    weight, bias = layers[-1]
    return [(polygon, slope @ weight, offset @ weight + bias) for polygon, slope, offset in regions]


def halves(polygon: Floats, values: Floats) -> list[Floats]:
    """Return the parts of a convex polygon on which a linear function, given at its corners, is above 0 and below."""
    sides: list[list[Floats]] = [[], []]
    for index, corner in enumerate(polygon):
        value, following = values[index], values[(index + 1) % len(values)]
        sides[int(value > 0)].append(corner)
        if (value > 0) != (following > 0):
            cut = corner + value / (value - following) * (polygon[(index + 1) % len(values)] - corner)
            for side in sides:
                side.append(cut)
    return [np.array(side) for side in sides if len(side) > 2]


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
