import math

import pytest
import torch

from src.losses.mse_sigmoid import SigmoidMeanSquaredError


@pytest.mark.parametrize("z", [-40.0, -3.0, 0.0, 0.5, 40.0])
@pytest.mark.parametrize("label", [0, 1])
def test_the_gradient_is_the_slides_and_vanishes_far_from_the_target_too(z: float, label: int) -> None:
    outputs = torch.tensor([[[z]]], dtype=torch.float64, requires_grad=True)
    SigmoidMeanSquaredError(classes=2).loss(outputs, torch.tensor([[label]])).sum().backward()
    f, rest = 1 / (1 + math.exp(-z)), 1 / (1 + math.exp(z))
    assert outputs.grad is not None
    assert outputs.grad.item() == pytest.approx(2 * (f - label) * f * rest, rel=1e-9, abs=1e-17)
    assert abs(z) < 40 or abs(outputs.grad.item()) < 1e-16
