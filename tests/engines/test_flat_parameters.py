from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from src.engines.flat_parameters import FlatParameters
from src.models.mlp import MLP

SHAPES = [[(3, 5), (1, 5)], [(2, 50), (1, 50), (50, 100), (1, 100)], [(1, 1)], [(4, 4)]]
OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "adam": lambda parameters: Adam(parameters, lr=0.05, fused=True),
    "adamw": lambda parameters: AdamW(parameters, lr=0.05, weight_decay=0.1, fused=True),
    "sgd": lambda parameters: SGD(parameters, lr=0.05, momentum=0.9, fused=True),
}


def parameters(seeds: int, shapes: list[tuple[int, int]]) -> nn.ParameterList:
    generator = Generator().manual_seed(0)
    return nn.ParameterList([torch.randn(seeds, *shape, generator=generator) for shape in shapes])


def mlp(seeds: int, activation: str = "relu") -> MLP:
    generators = [Generator().manual_seed(seed) for seed in range(seeds)]
    return MLP(2, 3, generators, hidden=[7, 50], activation=activation, init="kaiming", init_std=0.02)


def loss(network: nn.Module, x: Tensor) -> Tensor:
    value: Tensor = (network(x) - x.sum(-1, keepdim=True).sin()).square().mean((1, 2))  # (S,)
    return value


def samples(seeds: int) -> Tensor:
    return torch.randn(seeds, 5, 2, generator=Generator().manual_seed(1))


def indices(flat: FlatParameters, network: nn.Module) -> list[Tensor]:
    """Return the indices in the buffer of the elements of each parameter; no element has two owners."""
    index = torch.arange(len(flat.values))
    found = []
    for parameter in network.parameters():
        first = (parameter.data_ptr() - flat.values.data_ptr()) // parameter.element_size()
        found.append(index[first:].as_strided(parameter.shape, parameter.stride()).flatten())
    owned = torch.cat(found)
    assert len(owned.unique()) == len(owned)
    return found


def own(flat: FlatParameters, network: nn.Module) -> Tensor:
    """Return which elements of the buffer some parameter owns: (P,), bool."""
    owned = torch.zeros(len(flat.values), dtype=torch.bool)
    owned[torch.cat(indices(flat, network))] = True
    return owned


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("seeds", [1, 3])
def test_parameters_become_views_of_the_buffer_and_keep_their_values(shapes: list[tuple[int, int]], seeds: int) -> None:
    network = parameters(seeds, shapes)
    before = [parameter.detach().clone() for parameter in network]
    flat = FlatParameters(network)
    for parameter, value in zip(network, before, strict=True):
        assert torch.equal(parameter, value)
    buffer = flat.values.untyped_storage().data_ptr()
    assert all(parameter.untyped_storage().data_ptr() == buffer for parameter in network)
    flat.values.data.add_(own(flat, network))
    for parameter, value in zip(network, before, strict=True):
        assert torch.equal(parameter, value + 1)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_blocks_are_contiguous_and_the_buffer_is_whole_vector_registers(shapes: list[tuple[int, int]]) -> None:
    network = parameters(3, shapes)
    flat = FlatParameters(network)
    assert len(flat.values) % 16 == 0
    assert len(flat.values) - sum(parameter.numel() for parameter in network) < 16 * len(network)
    for parameter in network:
        assert parameter.storage_offset() % 16 == 0
        assert parameter.is_contiguous()
        assert all(
            torch.equal(block, whole)
            for block, whole in zip(flat.storage(parameter), (parameter, torch.zeros_like(parameter)), strict=True)
        )
    assert not flat.values[~own(flat, network)].any()


def test_a_larger_block_is_zero_beyond_its_parameter() -> None:
    network = mlp(3)
    assert network.trunk[0].storage == {"weight": (2, 8), "bias": (1, 8)}
    flat = FlatParameters(network)
    layer = network.trunk[0]
    value, gradient = flat.storage(layer.weight)  # type: ignore[arg-type]
    assert value.shape == gradient.shape == (3, 2, 8)
    assert value.is_contiguous()
    assert gradient.is_contiguous()
    assert torch.equal(value[..., :7], layer.weight)  # type: ignore[arg-type]
    assert not value[..., 7:].any()
    assert not flat.values[~own(flat, network)].any()


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_backward_writes_the_gradient_of_plain_autograd(activation: str) -> None:
    plain, network, x = mlp(3, activation), mlp(3, activation), samples(3)
    flat = FlatParameters(network)
    for _ in range(2):  # a second call replaces, it does not add
        flat.backward(loss(network, x).sum())
    gradients = torch.autograd.grad(loss(plain, x).sum(), list(plain.parameters()))
    assert flat.values.grad is not None
    for index, gradient in zip(indices(flat, network), gradients, strict=True):
        assert torch.equal(flat.values.grad[index], gradient.flatten())
    assert not flat.values.grad[~own(flat, network)].any()
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_on_the_buffer_are_steps_on_the_network(optimizer: str) -> None:
    plain, network, x = mlp(3), mlp(3), samples(3)
    flat = FlatParameters(network)
    stepper, expected = OPTIMIZERS[optimizer]([flat.values]), OPTIMIZERS[optimizer](list(plain.parameters()))
    for _ in range(20):
        flat.backward(loss(network, x).sum())
        stepper.step()
        expected.zero_grad()
        loss(plain, x).sum().backward()
        expected.step()
    for parameter, other in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter, other)
    assert not flat.values[~own(flat, network)].any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_steps_of_a_seed_do_not_depend_on_the_size_of_the_stack(optimizer: str) -> None:
    generator = Generator().manual_seed(2)
    shapes = list(pairwise([3, 5, 7]))
    gradients = [[torch.randn(7, *shape, generator=generator) for shape in shapes] for _ in range(10)]

    def after(seeds: slice) -> nn.ParameterList:
        network = nn.ParameterList([value.detach()[seeds].clone() for value in parameters(7, shapes)])
        flat = FlatParameters(network)
        stepper = OPTIMIZERS[optimizer]([flat.values])
        for step in gradients:
            flat.backward(sum((p * g[seeds]).sum() for p, g in zip(network, step, strict=True)))
            stepper.step()
        return network

    stack = after(slice(0, 7))
    for first, last in ((0, 1), (3, 4), (6, 7), (2, 5)):
        for parameter, alone in zip(stack, after(slice(first, last)), strict=True):
            assert torch.equal(parameter[first:last], alone)


def test_precision_follows_the_network() -> None:
    network = mlp(2).double()
    flat = FlatParameters(network)
    assert flat.values.dtype == torch.float64
    flat.backward(loss(network, samples(2).double()).sum())
    assert flat.values.grad is not None
    assert flat.values.grad.dtype == torch.float64


def test_a_state_dict_goes_in_and_out_through_the_views() -> None:
    network, other = mlp(2), mlp(2)
    flat = FlatParameters(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    network.load_state_dict(other.state_dict())
    assert flat.values.sum().item() == pytest.approx(sum(p.sum().item() for p in other.parameters()), rel=1e-5)
