import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from src.losses.brier import BrierScore
from tests.losses.cases import random_outputs


@pytest.mark.parametrize("classes", [2, 4])
def test_the_loss_is_scikit_learns_unhalved_brier_score(classes: int) -> None:
    outputs, target = random_outputs(classes, classes)
    probabilities = torch.softmax(outputs, dim=-1)
    expected = [
        brier_score_loss(target[seed], probabilities[seed], labels=range(classes), scale_by_half=False)
        if classes > 2
        else 2 * brier_score_loss(target[seed], probabilities[seed, :, 1])
        for seed in range(3)
    ]
    np.testing.assert_allclose(BrierScore(classes).loss(outputs, target), expected, rtol=1e-12)


def test_it_ranges_from_sure_and_right_to_sure_and_wrong() -> None:
    outputs, target = torch.tensor([[[0.0, 99.0]], [[0.0, 0.0]], [[0.0, 99.0]]]), torch.tensor([[1], [1], [0]])
    assert BrierScore(2).loss(outputs, target).tolist() == [0, 0.5, 2]


def test_the_expected_score_is_least_at_the_posterior() -> None:
    posterior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    target = torch.arange(3)[:, None]
    gradients = BrierScore(3).gradient(posterior.log().expand(3, 1, 3), target)
    torch.testing.assert_close((posterior[:, None] * gradients[:, 0]).sum(0), torch.zeros(3, dtype=torch.float64))
