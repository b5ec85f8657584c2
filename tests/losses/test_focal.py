import pytest
import torch

from src.losses.ce import CrossEntropy
from src.losses.focal import FocalLoss
from tests.losses.cases import make, random_outputs

GAMMAS = [0, 0.5, 1, 2, 3.7]  # below 1 the power has no finite slope at 0, and 2 has a kernel of its own


def test_gamma_zero_is_the_cross_entropy_and_two_the_default() -> None:
    outputs, target = random_outputs(3, 3)
    torch.testing.assert_close(FocalLoss(3, gamma=0).loss(outputs, target), CrossEntropy(3).loss(outputs, target))
    assert torch.equal(FocalLoss(3, gamma=2).loss(outputs, target), make("focal", 3).loss(outputs, target))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("scale", [2.0, 30.0, 2000.0])
def test_the_gradient_is_autograds_and_finite_however_sure_the_network_is(gamma: float, scale: float) -> None:
    outputs, target = random_outputs(3, 3, scale)
    objective = FocalLoss(3, gamma=gamma)
    (expected,) = torch.autograd.grad(objective.loss(outputs.requires_grad_(), target).sum(), outputs)
    assert expected.isfinite().all()
    torch.testing.assert_close(objective.gradient(outputs.detach(), target), expected)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_no_power_notices_the_size_of_the_stack(gamma: float) -> None:
    objective, generator = FocalLoss(3, gamma=gamma), torch.Generator().manual_seed(1)
    for size in (1, 3, 5, 33):
        outputs, target = torch.randn(7, size, 3, generator=generator), torch.randint(3, (7, size), generator=generator)
        loss, slope = objective.loss(outputs, target), objective.gradient(outputs, target)
        for seed in range(7):
            assert torch.equal(loss[seed], objective.loss(outputs[[seed]], target[[seed]])[0])
            assert torch.equal(slope[seed], objective.gradient(outputs[[seed]], target[[seed]])[0])
