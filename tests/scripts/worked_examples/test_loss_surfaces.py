import numpy as np
import pytest
import torch
from scipy.special import expit

from scripts.worked_examples.loss_surfaces import DISTANCES, POINTS, surface, unit
from src.losses.bce import BinaryCrossEntropy
from src.losses.mse_sigmoid import SigmoidMeanSquaredError

x, target = np.array(POINTS).T


def test_losses_and_gradients_are_those_of_the_formulas() -> None:
    w, b = np.array([0.3, -2.0, 5.0]), np.array([0.1, 1.0, -4.0])
    f = expit(np.outer(w, x) + b[:, None])  # (K, N)
    ends = {
        BinaryCrossEntropy: (-np.where(target == 1, np.log(f), np.log(1 - f)), f - target),
        SigmoidMeanSquaredError: ((f - target) ** 2, 2 * (f - target) * f * (1 - f)),
    }
    for kind, (losses, slope) in ends.items():
        loss, gradient = unit(kind(2), torch.from_numpy(w), torch.from_numpy(b))
        np.testing.assert_allclose(loss, losses.mean(1), rtol=1e-9)
        np.testing.assert_allclose(gradient, np.stack([(slope * x).mean(1), slope.mean(1)], 1), rtol=1e-9, atol=1e-15)


def test_cross_entropy_pulls_where_squared_error_lets_go() -> None:
    far = torch.tensor([-float(DISTANCES.max())], dtype=torch.float64)
    strong, weak = (unit(kind(2), far, 0 * far)[1].norm() for kind in (BinaryCrossEntropy, SigmoidMeanSquaredError))
    assert strong > 1
    assert weak < 1e-2


def test_a_surface_holds_the_loss_at_each_weight_and_bias() -> None:
    drawn = surface(BinaryCrossEntropy(2), side=9, limit=4)
    loss, _ = unit(BinaryCrossEntropy(2), torch.tensor([3.0]).double(), torch.tensor([-1.0]).double())
    assert drawn.loss[3, 7] == pytest.approx(loss.item(), rel=1e-12)
    assert drawn.lowest == (1.0, 0.0)
    assert drawn.norm.shape == (9, 9)
