import numpy as np
import pytest
import torch
from torch import nn

from src.losses.base import Objective
from src.losses.mse_onehot import OneHotMeanSquaredError


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_loss_is_torchs_on_one_hot_rows_for_each_seed(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    outputs = torch.randn(4, 6, classes, generator=generator)
    target = torch.randint(classes, (4, 6), generator=generator)
    expected = [nn.MSELoss()(outputs[seed], torch.eye(classes)[target[seed]]) for seed in range(4)]
    torch.testing.assert_close(OneHotMeanSquaredError(classes).loss(outputs, target), torch.stack(expected))


def test_the_loss_is_the_sum_written_out() -> None:
    generator = np.random.default_rng(0)
    outputs, target = generator.normal(0, 2, (3, 5, 4)), generator.integers(4, size=(3, 5))
    expected = np.zeros(3)
    for seed, index, k in np.ndindex(3, 5, 4):
        expected[seed] += (outputs[seed, index, k] - (k == target[seed, index])) ** 2 / 20
    loss = OneHotMeanSquaredError(classes=4).loss(torch.tensor(outputs), torch.tensor(target))
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_the_largest_output_wins_and_ties_go_to_the_lower_label() -> None:
    outputs = torch.tensor([[[0.1, 0.9, 0.3], [-5.0, -7.0, -6.0], [2.0, 2.0, 1.0], [0.0, 3.0, 3.0]]])
    assert OneHotMeanSquaredError(classes=3).decode(outputs).tolist() == [[1, 0, 0, 1]]


def test_the_outputs_are_no_probabilities() -> None:
    objective: Objective = OneHotMeanSquaredError(classes=3)
    assert objective.probabilities(torch.zeros(1, 1, 3)) is None


def test_there_is_an_output_a_class() -> None:
    assert OneHotMeanSquaredError(classes=5).out_features == 5
