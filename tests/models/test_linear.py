import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Generator, nn

from src.models.layers import StackedLinear, aligned, alignment
from src.models.linear import Linear


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def linear(*seeds: int, **changes: Any) -> Linear:
    arguments: dict[str, Any] = {"in_features": 3, "out_features": 2, "init": "normal", "init_std": 0.02}
    return Linear(generators=generators(*seeds), **(arguments | changes))


def draw(seeds: int, in_features: int, out_features: int) -> StackedLinear:
    layer = StackedLinear(seeds, in_features, out_features)
    layer.reset(generators(*range(seeds)), "normal", 0.5, gain=1.0)
    return layer


@pytest.mark.parametrize("in_features", [1, 2, 3, 4, 50])
@pytest.mark.parametrize("out_features", [1, 2, 3, 5, 50])
def test_a_stacked_layer_is_a_torch_layer_a_seed(in_features: int, out_features: int) -> None:
    layer = draw(3, in_features, out_features).double()
    x = torch.randn(3, 6, in_features, dtype=torch.float64, generator=generators(9)[0])
    outputs = layer(x)
    assert outputs.shape == (3, 6, out_features)
    outputs.square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    for seed in range(3):
        alone = nn.Linear(in_features, out_features, dtype=torch.float64)
        with torch.no_grad():
            alone.weight.copy_(layer.weight[seed].T)
            alone.bias.copy_(layer.bias[seed, 0])
        expected = alone(x[seed])
        expected.square().sum().backward()
        torch.testing.assert_close(outputs[seed], expected)
        torch.testing.assert_close(layer.weight.grad[seed].T, alone.weight.grad)
        torch.testing.assert_close(layer.bias.grad[seed, 0], alone.bias.grad)


@pytest.mark.parametrize("samples", [1, 3, 4, 5, 17])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_alignment_copies_the_samples_and_adds_rows_of_zeros(samples: int, rows: int) -> None:
    x = torch.randn(2, samples, 3)
    padded = aligned(x, rows)
    assert padded.shape == (2, -(-samples // rows) * rows, 3)
    assert padded.is_contiguous()
    assert padded.data_ptr() != x.data_ptr()
    assert torch.equal(padded[:, :samples], x)
    assert not padded[:, samples:].any()


@pytest.mark.parametrize("widths", [(2, 50, 100), (4, 8), (2, 7, 3), (1, 1), (3, 4, 4)])
def test_aligned_rows_make_every_product_start_at_16_bytes(widths: tuple[int, ...]) -> None:
    layers = [StackedLinear(2, *pair) for pair in pairwise(widths)]
    rows = alignment(layers)
    for layer in layers:
        for columns in (*layer.weight.shape[1:], *layer.storage["weight"]):
            assert rows * columns * 4 % 16 == 0
        assert math.prod(layer.storage["weight"]) * 4 % 16 == 0
        assert min(layer.storage["weight"]) >= 2


def test_normal_draws_weight_then_bias_from_each_seeds_own_generator() -> None:
    model = linear(4, 7)
    for index, seed in enumerate((4, 7)):
        (generator,) = generators(seed)
        weight = torch.empty(3, 2).normal_(0, 0.02, generator=generator)
        bias = torch.empty(1, 2).normal_(0, 0.02, generator=generator)
        assert torch.equal(model.head.weight[index], weight)
        assert torch.equal(model.head.bias[index], bias)


def test_kaiming_scales_with_the_width_of_the_input_and_zeroes_the_biases() -> None:
    layer = StackedLinear(2, 400, 300)
    layer.reset(generators(0, 1), "kaiming", 0.02, gain=3.0)
    for weight in layer.weight:
        assert weight.std().item() == pytest.approx(3 / math.sqrt(400), rel=0.01)
        assert abs(weight.mean().item()) < 0.002
    assert not layer.bias.any()


def test_the_model_is_one_affine_layer() -> None:
    model = linear(0, 1)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(model(x), x @ model.head.weight + model.head.bias)
    assert [tuple(parameter.shape) for parameter in model.parameters()] == [(2, 3, 2), (2, 1, 2)]


@pytest.mark.parametrize("samples", [1, 2, 5, 8])
@pytest.mark.parametrize("out_features", [1, 3, 4])
def test_a_stack_gives_each_seed_what_it_gives_alone(samples: int, out_features: int) -> None:
    x = torch.randn(7, samples, 3, generator=generators(9)[0])
    stack = linear(*range(7), out_features=out_features)
    for seed in range(7):
        assert torch.equal(stack(x)[seed], linear(seed, out_features=out_features)(x[[seed]])[0])
