import torch

from src.losses.mse_onehot import OneHotMeanSquaredError


def test_the_largest_output_wins_and_ties_go_to_the_lower_label() -> None:
    outputs = torch.tensor([[[0.1, 0.9, 0.3], [-5.0, -7.0, -6.0], [2.0, 2.0, 1.0], [0.0, 3.0, 3.0]]])
    assert OneHotMeanSquaredError(classes=3).decode(outputs).tolist() == [[1, 0, 0, 1]]
