import torch

from src.losses.mse_onehot import OneHotMeanSquaredError
from src.losses.squared_rescaled import RescaledSquaredError
from tests.losses.cases import make, random_outputs, settings


def test_the_published_values_are_the_one_hot_squared_error() -> None:
    outputs, target = random_outputs(5, 5)
    assert (settings("squared_rescaled")["k"], settings("squared_rescaled")["M"]) == (1, 1)
    expected = OneHotMeanSquaredError(5).loss(outputs, target)
    torch.testing.assert_close(make("squared_rescaled", 5).loss(outputs, target), expected)


def test_k_weighs_the_true_class_alone() -> None:
    outputs, target = torch.tensor([[[0.0, 7.0]]]), torch.tensor([[0]])
    light, heavy = (RescaledSquaredError(2, k=k, M=1).gradient(outputs, target)[0, 0] for k in (1, 3))
    assert heavy.tolist() == [3 * light[0].item(), light[1].item()]
