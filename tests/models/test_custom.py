import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from src.losses.ce import CrossEntropy
from src.metrics.predictions import seed_network
from src.models.custom import Custom
from src.training.module import StackedClassifier
from src.utils.validation import SettingsError
from tests.blocks import train_on


def plain(in_features: int, out_features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_features, 16), nn.Tanh(), nn.Linear(16, out_features))


class Normed(nn.Sequential):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(
            nn.Linear(in_features, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, out_features)
        )


def dropping(in_features: int, out_features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(in_features, 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, out_features))


class Branching(nn.Module):
    """Has a branch that depends on its data, which vmap cannot run."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, 8)
        self.head = nn.Linear(8, out_features)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        return self.head(hidden.relu() if hidden.sum() > 0 else hidden)


KINDS: list[Callable[..., nn.Module]] = [plain, Normed, dropping, Branching]


def make(network: Callable[..., Any], *seeds: int) -> Custom:
    return Custom(2, 3, [Generator().manual_seed(seed) for seed in seeds], network=network)


def batches(seeds: int) -> list[tuple[Tensor, Tensor]]:
    generator = Generator().manual_seed(9)
    x = torch.randn(100, seeds, 10, 2, generator=generator)
    return list(zip(x, (x.sum(-1) > 0).long() + (x[..., 0] > 1), strict=True))


def trained(network: Custom, data: list[tuple[Tensor, Tensor]]) -> Custom:
    """Train as the program does, by its own engine, buffer and optimizer."""
    classifier = StackedClassifier(network, CrossEntropy(3), lambda parameters: torch.optim.Adam(parameters, lr=0.01))
    classifier.configure_model()
    classifier.select_engine(classifier.optimizer([classifier.flat.values]))
    network.train()
    train_on(classifier.engine, data)
    return network


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_seed_trains_as_if_alone_over_100_steps(kind: Callable[..., nn.Module]) -> None:
    data = batches(3)
    stack = trained(make(kind, 4, 0, 7), data)
    for index, seed in enumerate((4, 0, 7)):
        alone = trained(make(kind, seed), [(x[[index]], target[[index]]) for x, target in data])
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(stack.state_dict()[name][index], value[0], rtol=0, atol=1e-5)
        x = data[0][0][index]
        torch.testing.assert_close(seed_network(stack, index)(x), seed_network(alone, 0)(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", [plain, Normed], ids=lambda kind: kind.__name__)
def test_each_seed_trains_as_torchs_own_loop_trains_the_module(kind: Callable[..., nn.Module]) -> None:
    data = batches(2)
    stack = make(kind, 5, 6)
    single = kind(2, 3)
    single.load_state_dict({name.removeprefix("network."): value[1] for name, value in stack.state_dict().items()})
    trained(stack, data)
    optimizer = torch.optim.Adam(single.parameters(), lr=0.01)
    for x, target in data:
        optimizer.zero_grad()
        nn.functional.cross_entropy(single(x[1]), target[1]).backward()
        optimizer.step()
    for name, value in single.state_dict().items():
        torch.testing.assert_close(stack.state_dict()[f"network.{name}"][1], value, rtol=0, atol=1e-5)


def test_only_what_has_to_be_looped_is() -> None:
    assert [make(kind, 0, 1).looped for kind in KINDS] == [False, False, True, True]


def test_buffers_are_kept_a_seed_and_used_in_evaluation() -> None:
    network = trained(make(Normed, 1, 2), batches(2))
    moments = network.state_dict()["network.1.running_mean"]
    assert moments.shape == (2, 16)
    assert not torch.allclose(moments[0], moments[1])
    assert network.state_dict()["network.1.num_batches_tracked"].tolist() == [100, 100]
    x = torch.randn(7, 2, generator=Generator().manual_seed(3))
    outputs = seed_network(network, 0)
    torch.testing.assert_close(outputs(x)[:1], outputs(x[:1]))


def test_dropout_differs_between_seeds_and_steps() -> None:
    network = make(dropping, 1, 1)
    x = torch.ones(2, 5, 2)
    state = torch.get_rng_state()
    first, second = network.train()(x), network(x)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first[0], first[1])  # seeds that are the same draw the same
    assert not torch.equal(first, second)
    other = make(dropping, 2)
    other.load_state_dict({name: value[:1] for name, value in network.state_dict().items()})
    assert not torch.equal(other.train()(x[:1])[0], make(dropping, 1).train()(x[:1])[0])
    evaluated = seed_network(copy.deepcopy(network), 0)
    assert torch.equal(evaluated(x[0]), evaluated(x[0]))


class Sharing(nn.Module):
    """Uses one layer under two names."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.once = self.again = nn.Linear(in_features, out_features)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda in_features, out_features: nn.Linear(in_features, 5), r"maps \(B, 2\) to \(B, 3\), got .Linear, which"),
        (lambda in_features, out_features: nn.Linear(7, out_features), r"mat1 and mat2 shapes cannot be multiplied"),
        (lambda in_features, out_features: nn.LSTM(in_features, out_features), "to tuple"),
        (lambda in_features, out_features: abs, "`network` to be a torch.nn.Module"),
        (Sharing, r"none of whose parameters has two names, .* got ..again.bias"),
    ],
)
def test_a_network_that_does_not_fit_is_named(network: Callable[..., Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        make(network, 0)


def test_a_network_that_asks_for_a_terabyte_is_refused() -> None:
    class Huge(nn.Module):
        def __init__(self, in_features: int, out_features: int) -> None:
            super().__init__()
            self.first = nn.Linear(in_features, 10**12)

    with pytest.raises(SettingsError, match="at most 10,000,000 weights"):
        Custom(2, 2, [Generator()], network=Huge)
