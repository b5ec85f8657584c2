"""Activations: the function, its derivative in terms of its value, and its gain."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """An element-wise function y = f(z).

    Attributes:
        value: Return f(z); z may be overwritten.
        gradient: Return dy * f'(z), from dy and y = f(z); dy may be overwritten.
        gain: Factor by which an initialisation scales weights to keep the standard deviation, as in
            ``torch.nn.init.calculate_gain``.
    """

    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    gain: float


def sigmoid(z: Tensor) -> Tensor:
    """Return the logistic function of z.

    It is computed by tanh, as ``torch.sigmoid`` rounds the last elements of a tensor differently from the others, and
    which elements are last depends on S.
    """
    return torch.tanh_(z / 2).add(1).div_(2)


def _relu_gradient(dy: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(dy, y, 0)


def _sigmoid_gradient(dy: Tensor, y: Tensor) -> Tensor:
    return dy.mul_(y).mul_(1 - y)


def _tanh_gradient(dy: Tensor, y: Tensor) -> Tensor:
    return dy.mul_(1 - y.square())


ACTIVATIONS = {
    "relu": Activation(torch.relu_, _relu_gradient, math.sqrt(2)),
    "sigmoid": Activation(sigmoid, _sigmoid_gradient, 1.0),
    "tanh": Activation(torch.tanh_, _tanh_gradient, 5 / 3),
}
IDENTITY = Activation(lambda z: z, lambda dy, _: dy, 1.0)
