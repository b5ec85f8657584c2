import pytest
import torch
from torch import nn

from src.losses.multi_margin import MultiMarginLoss
from tests.losses.cases import make, random_outputs


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("p", "margin"), [(1, 1.0), (2, 1.0), (1, 0.3), (2, 4.0)])
def test_loss_and_gradient_are_torchs_for_each_seed(classes: int, p: int, margin: float) -> None:
    outputs, target = random_outputs(classes, classes)
    objective, reference = MultiMarginLoss(classes, p=p, margin=margin), nn.MultiMarginLoss(p=p, margin=margin)
    outputs.requires_grad_()
    expected = torch.stack([reference(outputs[seed], target[seed]) for seed in range(3)])
    torch.testing.assert_close(objective.loss(outputs, target), expected)
    (slope,) = torch.autograd.grad(expected.sum(), outputs)
    torch.testing.assert_close(objective.gradient(outputs.detach(), target), slope)


def test_a_lead_of_the_margin_costs_nothing() -> None:
    outputs, target = torch.tensor([[[1.0, 0.0, -5.0]], [[1.0, 0.5, -5.0]]]), torch.tensor([[0], [0]])
    assert make("multi_margin", 3).loss(outputs, target).tolist() == [0, pytest.approx(0.5 / 3)]
