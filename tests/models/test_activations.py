import pytest
import torch
from torch import nn

from src.models.activations import ACTIVATIONS, IDENTITY, sigmoid

FUNCTIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_logistic_function_is_torchs(dtype: torch.dtype) -> None:
    z = torch.linspace(-40, 40, 2001, dtype=dtype).requires_grad_()
    limit = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(sigmoid(z), torch.sigmoid(z), rtol=0, atol=limit)
    slope, expected = (torch.autograd.grad(f(z).sum(), z)[0] for f in (sigmoid, torch.sigmoid))
    torch.testing.assert_close(slope, expected, rtol=0, atol=limit)
    assert sigmoid(torch.tensor([-1e30, 1e30], dtype=dtype)).tolist() == [0, 1]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_gradient_are_those_of_torch(name: str) -> None:
    z = torch.linspace(-6, 6, 101, dtype=torch.float64).requires_grad_()
    dy = torch.randn(101, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = FUNCTIONS[name](z)
    activation = ACTIVATIONS[name]
    y = activation.value(z.detach().clone())
    torch.testing.assert_close(y, expected.detach())
    (slope,) = torch.autograd.grad(expected, z, dy)
    torch.testing.assert_close(activation.gradient(dy.clone(), y), slope)
    assert activation.gain == nn.init.calculate_gain(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("size", [1, 7, 16, 33, 250])
def test_an_element_does_not_depend_on_its_place_in_the_tensor(name: str, size: int) -> None:
    z = torch.randn(7, size, generator=torch.Generator().manual_seed(1))
    dy = torch.randn(7, size, generator=torch.Generator().manual_seed(2))
    activation = ACTIVATIONS[name]
    y = activation.value(z.clone())
    slope = activation.gradient(dy.clone(), y)
    for row in range(7):
        alone = activation.value(z[row].clone())
        assert torch.equal(y[row], alone)
        assert torch.equal(slope[row], activation.gradient(dy[row].clone(), alone))


def test_the_identity_changes_nothing() -> None:
    z = torch.randn(5)
    assert IDENTITY.value(z) is z
    assert IDENTITY.gradient(z, z) is z
