from collections.abc import Sequence

import pytest
import torch
from torch import nn

from src.metrics import dead_units as module
from src.metrics.dead_units import dead_units
from src.models.custom import Custom
from src.models.linear import Linear
from src.models.mlp import MLP
from tests.metrics.references import generators


def make(activation: str, hidden: Sequence[int] = (7, 5)) -> MLP:
    return MLP(2, 3, generators(0, 1), hidden=list(hidden), activation=activation, init="normal", init_std=0.5)


def network(in_features: int, out_features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_features, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, out_features))


def share_by_hand(layers: Sequence[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor) -> dict[str, float]:
    """Return the shares one unit and one sample at a time, from weights (in, out) and biases (out,)."""
    shares = {}
    samples = x.tolist()
    for number, (weight, bias) in enumerate(layers, start=1):
        rows = []
        for sample in samples:
            sums = [
                bias[unit].item() + sum(value * weight[place, unit].item() for place, value in enumerate(sample))
                for unit in range(len(bias))
            ]
            rows.append([max(0.0, value) for value in sums])
        dead = sum(all(row[unit] == 0 for row in rows) for unit in range(len(bias)))
        shares[f"train/dead_units/{number}"] = dead / len(bias)
        samples = rows
    return shares


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("block", [4, 8192])
def test_shares_of_a_perceptron_by_hand(index: int, block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_BLOCK", block)
    stack, x = make("relu"), torch.randn(10, 2, generator=generators(5)[0])
    with torch.no_grad():
        stack.trunk[0].bias[:, 0, 2:5] = -9.0  # three units are dead
    layers = [(layer.weight[index], layer.bias[index, 0]) for layer, _ in stack.layers[:-1]]
    found = dead_units(stack, index, x)
    assert found == pytest.approx(share_by_hand(layers, x))
    assert found["train/dead_units/1"] >= 3 / 7


@pytest.mark.parametrize("index", [0, 1])
def test_shares_of_any_module_with_relu_by_hand(index: int):
    stack, x = Custom(2, 3, generators(0, 1), network=network), torch.randn(10, 2, generator=generators(5)[0])
    parameters = [each.detach()[index] for each in stack.network.parameters()]
    layers = list(zip([each.T for each in parameters[::2]], parameters[1::2], strict=True))[:-1]
    assert dead_units(stack, index, x) == pytest.approx(share_by_hand(layers, x))
    assert not stack.network[1]._forward_hooks


def test_networks_without_relu_have_no_such_metric():
    x = torch.zeros(3, 2)
    assert dead_units(make("tanh"), 0, x) == {}
    assert dead_units(Linear(2, 3, generators(0), init="normal", init_std=0.1), 0, x) == {}
    assert dead_units(Custom(2, 3, generators(0), network=nn.Linear), 0, x) == {}
