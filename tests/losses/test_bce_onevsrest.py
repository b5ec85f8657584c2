import torch

from src.losses.bce_onevsrest import OneVsRest
from tests.losses.cases import random_outputs


def test_probabilities_are_normalized_sigmoids_also_where_all_are_tiny() -> None:
    outputs, _ = random_outputs(4, 4)
    sigmoid = torch.sigmoid(outputs)
    torch.testing.assert_close(OneVsRest(4).probabilities(outputs), sigmoid / sigmoid.sum(-1, keepdim=True))
    tiny = OneVsRest(2).probabilities(torch.tensor([[[-2000.0, -2000.0]]], dtype=torch.float64))
    assert tiny.tolist() == [[[0.5, 0.5]]]
