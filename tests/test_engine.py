from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from src.engine import AutogradEngine, Engine, LayerwiseEngine, choose_engine, output_gradient
from src.losses.ce import CrossEntropy
from src.losses.objective import Objective
from src.models.activations import ACTIVATIONS
from src.models.flat import FlatParameters
from src.models.linear import Linear
from src.models.mlp import MLP
from src.threads import one_thread
from tests.losses.cases import TAKEN, make

Make = Callable[[nn.Module, Objective, FlatParameters], Engine]


def layerwise(network: nn.Module, objective: Objective, flat: FlatParameters) -> Engine:
    return choose_engine(network, objective, flat, mixed=False)


ENGINES: tuple[Make, ...] = (layerwise, AutogradEngine)


def network(
    seeds: Sequence[int], out_features: int, hidden: Sequence[int] = (7, 12), activation: str = "relu"
) -> nn.Module:
    generators = [Generator().manual_seed(seed) for seed in seeds]
    if not hidden:
        return Linear(2, out_features, generators, init="normal", init_std=0.5)
    return MLP(2, out_features, generators, hidden=list(hidden), activation=activation, init="kaiming", init_std=0.02)


def batch(seeds: Sequence[int], classes: int, size: int = 5, number: int = 0) -> tuple[Tensor, Tensor]:
    """Return the points (S, B, 2) and labels (S, B) that some seeds have, the same in any company."""
    generators = [Generator().manual_seed(1000 * number + seed) for seed in seeds]
    x = torch.stack([torch.randn(size, 2, generator=generator) for generator in generators])
    return x, torch.stack([torch.randint(classes, (size,), generator=generator) for generator in generators])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "classes"), TAKEN)
def test_the_engines_compute_the_same_outputs_and_gradients(loss: str, classes: int, activation: str) -> None:
    objective = make(loss, classes)
    for hidden in ((7, 12), (50, 100, 50), (1,), ()):
        filled = []
        for engine in ENGINES:
            stack = network(range(3), objective.out_features, hidden, activation)
            flat = FlatParameters(stack)
            outputs = engine(stack, objective, flat).backward(*batch(range(3), classes))
            filled.append((outputs, flat.values.grad))
        (outputs, gradient), (expected, oracle) = filled
        assert gradient is not None
        assert oracle is not None
        assert (outputs - expected).norm() <= 1e-6 * expected.norm()
        assert (gradient - oracle).norm() <= 1e-6 * oracle.norm()
        assert oracle.norm() > 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "classes"), TAKEN)
def test_the_engines_stay_together_for_500_steps(loss: str, classes: int, activation: str) -> None:
    objective = make(loss, classes)
    after = []
    for engine in ENGINES:
        stack = network(range(2), objective.out_features, activation=activation).double()
        flat = FlatParameters(stack)
        optimizer = torch.optim.Adam([flat.values], lr=0.005, fused=True)
        trained = engine(stack, objective, flat)
        with one_thread():
            for step in range(500):
                x, target = batch(range(2), classes, number=step % 20)
                trained.backward(x.double(), target)
                optimizer.step()
        after.append(flat.values.detach())
    assert (after[0] - after[1]).norm() <= 1e-6 * after[1].norm()
    start = network(range(2), objective.out_features, activation=activation).double()
    assert (after[0] - FlatParameters(start).values).norm() > 0.1


# The products of awkward widths and mini-batches start at other alignments in a stack than those of a seed alone.
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 16, 33])
@pytest.mark.parametrize("hidden", [(50, 100, 50), (1,), (7,), (33, 65, 2), (64, 64), ()], ids=str)
def test_a_seed_has_the_same_gradients_alone_and_in_a_stack(
    hidden: tuple[int, ...], size: int, activation: str
) -> None:
    def backward(seeds: Sequence[int], classes: int) -> list[Tensor]:
        stack = network(seeds, classes, hidden, activation)
        flat = FlatParameters(stack)
        outputs = layerwise(stack, CrossEntropy(classes), flat).backward(*batch(seeds, classes, size))
        return [outputs, *(flat.storage(parameter)[1] for parameter in stack.parameters())]

    for classes in (2, 3, 5):
        with one_thread():
            together = backward(range(7), classes)
            for seed in (1, 2, 6):
                for stacked, alone in zip(together, backward([seed], classes), strict=True):
                    assert torch.equal(stacked[seed], alone[0])


def test_a_network_of_other_parts_and_mixed_precision_are_left_to_autograd() -> None:
    stack = network([0], 2)
    flat = FlatParameters(stack)
    assert isinstance(choose_engine(stack, CrossEntropy(2), flat, mixed=False), LayerwiseEngine)
    assert isinstance(choose_engine(stack, CrossEntropy(2), flat, mixed=True), AutogradEngine)
    assert isinstance(choose_engine(nn.Sequential(stack), CrossEntropy(2), flat, mixed=False), AutogradEngine)


def test_an_objective_without_a_closed_form_is_differentiated_by_autograd() -> None:
    class Cubic:
        out_features = 1

        def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
            return (outputs.squeeze(-1) - target).pow(3).mean(-1)

    objective: Any = Cubic()
    outputs, target = torch.randn(3, 5, 1), torch.randint(2, (3, 5))
    expected = 3 * (outputs - target[..., None]).square() / 5
    with torch.no_grad():
        torch.testing.assert_close(output_gradient(objective)(outputs, target), expected)
    ce = CrossEntropy(2)
    assert output_gradient(ce) == ce.gradient


def test_the_padding_of_the_buffer_stays_zero() -> None:
    stack = network(range(3), 3, (7,))
    flat = FlatParameters(stack)
    engine = layerwise(stack, CrossEntropy(3), flat)
    optimizer = torch.optim.Adam([flat.values], lr=0.1, fused=True)
    for step in range(5):
        engine.backward(*batch(range(3), 3, number=step))
        optimizer.step()
    used = sum(value.count_nonzero() for value in stack.parameters())
    assert flat.values.count_nonzero() == used == sum(value.numel() for value in stack.parameters())
