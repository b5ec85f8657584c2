import numpy as np
import pytest
import torch

from src.losses.mse_onehot import OneHotMeanSquaredError
from src.losses.squared_rescaled import RescaledSquaredError
from tests.losses.cases import make, random_outputs, settings


@pytest.mark.parametrize(("k", "scale"), [(1, 1), (15, 30), (0.5, 2)])
def test_the_loss_is_the_formula_of_the_paper_written_out(k: float, scale: float) -> None:
    outputs, target = random_outputs(4, 4)
    expected = np.zeros(3)
    for seed in range(3):
        for z, y in zip(outputs[seed].tolist(), target[seed].tolist(), strict=True):
            others = sum(value**2 for index, value in enumerate(z) if index != y)
            expected[seed] += (k * (z[y] - scale) ** 2 + others) / 4 / 6
    objective = RescaledSquaredError(4, k=k, M=scale)
    np.testing.assert_allclose(objective.loss(outputs, target), expected, rtol=1e-12)


def test_the_published_values_are_the_one_hot_squared_error() -> None:
    outputs, target = random_outputs(5, 5)
    assert (settings("squared_rescaled")["k"], settings("squared_rescaled")["M"]) == (1, 1)
    expected = OneHotMeanSquaredError(5).loss(outputs, target)
    torch.testing.assert_close(make("squared_rescaled", 5).loss(outputs, target), expected)


def test_k_weighs_the_true_class_alone() -> None:
    outputs, target = torch.tensor([[[0.0, 7.0]]]), torch.tensor([[0]])
    light, heavy = (RescaledSquaredError(2, k=k, M=1).gradient(outputs, target)[0, 0] for k in (1, 3))
    assert heavy.tolist() == [3 * light[0].item(), light[1].item()]
