import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Generator, Tensor, nn

from src.models.layers import StackedLinear
from src.models.mlp import MANY, MLP
from src.utils.validation import SettingsError

MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
DEFAULTS: dict[str, Any] = {"hidden": [50, 100, 50], "activation": "relu", "init": "normal", "init_std": 0.02}


def mlp(seeds: Sequence[int], out_features: int = 2, in_features: int = 2, **changes: Any) -> MLP:
    generators = [Generator().manual_seed(seed) for seed in seeds]
    return MLP(in_features, out_features, generators, **(DEFAULTS | changes))


def samples(seeds: int, size: int = 5, features: int = 2) -> Tensor:
    return torch.randn(seeds, size, features, generator=Generator().manual_seed(99))


def sequential(network: MLP, seed: int, activation: str) -> nn.Sequential:
    """Return one seed of a stack as the network that the slides write."""
    layers: list[nn.Module] = []
    for layer in [*network.trunk, network.head]:
        weight, bias = layer.weight[seed].detach(), layer.bias[seed, 0].detach()  # (in, out), (out,)
        alone = nn.Linear(*weight.shape)
        alone.weight.data, alone.bias.data = weight.T.clone(), bias.clone()
        layers += [alone, MODULES[activation]()]
    return nn.Sequential(*layers[:-1])


def gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the outputs and the gradient of every parameter of some loss."""
    outputs = network(x)
    return [outputs.detach(), *torch.autograd.grad((outputs.square() + outputs).sum(), list(network.parameters()))]


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("hidden", [[50, 100, 50], [7], [1, 3]], ids=str)
def test_a_stack_computes_what_the_slides_networks_compute(activation: str, hidden: list[int]) -> None:
    network = mlp(range(3), 4, activation=activation, hidden=hidden, init_std=0.5).double()
    x = samples(3, 11).double()
    outputs, *slopes = gradients(network, x)
    assert outputs.shape == (3, 11, 4)
    for seed in range(3):
        expected, *alone = gradients(sequential(network, seed, activation), x[seed])
        torch.testing.assert_close(outputs[seed], expected)
        for slope, other in zip(slopes, alone, strict=True):
            torch.testing.assert_close(slope[seed].squeeze(0) if other.dim() == 1 else slope[seed].T, other)


def test_every_parameter_leads_with_the_axis_of_the_seeds() -> None:
    widths = [2, 50, 100, 50, 3]
    shapes = [shape for i, o in pairwise(widths) for shape in ((4, i, o), (4, 1, o))]
    assert [tuple(parameter.shape) for parameter in mlp(range(4), 3).parameters()] == shapes


@pytest.mark.parametrize("init", ["normal", "kaiming"])
def test_the_trunk_does_not_depend_on_the_width_of_the_output(init: str) -> None:
    one, five = mlp([3, 4], 1, init=init), mlp([3, 4], 5, init=init)
    for name, value in one.trunk.state_dict().items():
        assert torch.equal(value, five.trunk.state_dict()[name])


@pytest.mark.parametrize("init", ["normal", "kaiming"])
def test_a_seed_starts_the_same_alone_and_in_any_stack(init: str) -> None:
    stack = mlp([5, 0, 7], init=init).state_dict()
    for index, seed in enumerate((5, 0, 7)):
        for name, value in mlp([seed], init=init).state_dict().items():
            assert torch.equal(stack[name][index], value[0])
    assert not torch.equal(stack["head.weight"][0], stack["head.weight"][1])


def test_the_initial_parameters_never_change() -> None:
    """The numbers behind every stored run: whoever changes the order of the draws must know."""
    network = mlp([0])
    first = [parameter.flatten()[0].item() for parameter in network.parameters()]
    reference, generator = [], Generator().manual_seed(0)
    for i, o in pairwise([2, 50, 100, 50, 2]):
        for shape in ((i, o), (1, o)):
            reference.append(torch.empty(shape).normal_(0, 0.02, generator=generator).flatten()[0].item())
    assert first == reference


@pytest.mark.parametrize("init_std", [0.02, 0.5])
def test_normal_draws_weights_and_biases_from_n_0_std(init_std: float) -> None:
    network = mlp(range(20), init_std=init_std)
    biases = torch.cat([value.flatten() for name, value in network.named_parameters() if name.endswith("bias")])
    weights = torch.cat([value.flatten() for name, value in network.named_parameters() if name.endswith("weight")])
    assert len(biases) == 20 * 202
    for drawn in (weights.detach().double(), biases.detach().double()):
        assert drawn.std().item() == pytest.approx(init_std, rel=0.05)
        assert stats.kstest(drawn.numpy() / init_std, "norm").pvalue > 0.01


@pytest.mark.parametrize("activation", MODULES)
def test_kaiming_keeps_torchs_scale_for_each_layer_and_zeroes_the_biases(activation: str) -> None:
    network = mlp(range(4), 200, in_features=100, hidden=[300, 200], activation=activation, init="kaiming")
    widths = {"trunk.0": 100, "trunk.1": 300, "head": 200}
    for name, width in widths.items():
        gain = 1.0 if name == "head" else nn.init.calculate_gain(activation)  # type: ignore[arg-type]
        weight, bias = network.get_parameter(f"{name}.weight"), network.get_parameter(f"{name}.bias")
        assert weight.std().item() == pytest.approx(gain / math.sqrt(width), rel=0.02)
        assert stats.kstest(weight.detach().double().flatten() / (gain / math.sqrt(width)), "norm").pvalue > 0.01
        assert not bias.any()


# Neither the position of a seed in the stack nor the size of the stack may show: the products of awkward widths and
# mini-batches start at other alignments, and the activations end in other tails, than those of a seed alone.
@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 16, 33])
@pytest.mark.parametrize("hidden", [[50, 100, 50], [1], [7], [33, 65, 2], [64, 64]], ids=str)
def test_a_stack_gives_each_seed_what_it_gives_alone_bit_for_bit(hidden: list[int], size: int, activation: str) -> None:
    changes: dict[str, Any] = {"hidden": hidden, "activation": activation, "init": "kaiming"}
    x = samples(7, size)
    for out_features in (1, 2, 3, 5):
        stack = gradients(mlp(range(7), out_features, **changes), x)
        for seed in (1, 2, 6):
            alone = gradients(mlp([seed], out_features, **changes), x[[seed]])
            for stacked, own in zip(stack, alone, strict=True):
                assert torch.equal(stacked[seed], own[0])


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("size", [1, 5, MANY, MANY + 3])
@pytest.mark.parametrize("hidden", [[50, 100, 50], [1], [33, 65, 2]], ids=str)
def test_evaluation_has_the_outputs_of_training(hidden: list[int], size: int, activation: str) -> None:
    x = samples(1, size).double()
    for out_features in (1, 2, 5):
        network = mlp([4], out_features, hidden=hidden, activation=activation, init="kaiming").double()
        with torch.no_grad():
            torch.testing.assert_close(network.evaluate_seed(x), network(x), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("dead", [[0, 3, 4], range(7)], ids=["some", "all"])
def test_evaluation_leaves_out_dead_units(dead: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    network, x, multiplied = mlp([4], 3, hidden=[7, 5], init="kaiming").double(), samples(1, MANY).double(), []
    product = StackedLinear.of_columns

    def counted(layer: StackedLinear, columns: Tensor, inputs: Tensor) -> Tensor:
        multiplied.append(len(columns))
        return product(layer, columns, inputs)

    monkeypatch.setattr(StackedLinear, "of_columns", counted)
    with torch.no_grad():
        network.trunk[0].bias[..., list(dead)] = -100
        torch.testing.assert_close(network.evaluate_seed(x), network(x), atol=1e-12, rtol=1e-10)
    assert multiplied[:2] == [2, 7 - len(dead)]


def test_bad_arguments_are_reported_together() -> None:
    with pytest.raises(SettingsError) as error:
        mlp([0], hidden=[0], activation=None, init=3, init_std=0)
    assert [problem.name for problem in error.value.problems] == ["hidden", "activation", "init", "init_std"]
