import copy
from collections.abc import Callable, Sequence
from itertools import cycle, product
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from src.engines.autograd import AutogradEngine
from src.engines.base import Engine, output_gradient
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.engine import NativeEngine, library
from src.engines.select import select_engine
from src.losses.base import Objective
from src.losses.ce import CrossEntropy
from src.models.activations import ACTIVATIONS
from src.models.linear import Linear
from src.models.mlp import MLP
from src.training.single_thread import single_threaded
from src.utils.validation import SettingsError
from tests.blocks import train_on
from tests.losses.cases import TAKEN, make

Make = Callable[[nn.Module, Objective, FlatParameters, Optimizer], Engine]


def layerwise(network: nn.Module, objective: Objective, flat: FlatParameters, optimizer: Optimizer) -> Engine:
    return select_engine(network, objective, flat, optimizer, requested="torch")


def native(network: nn.Module, objective: Objective, flat: FlatParameters, optimizer: Optimizer) -> Engine:
    return select_engine(network, objective, flat, optimizer, requested="native")


FAST = {"layerwise": layerwise} | ({"native": native} if library()[0] is not None else {})
needs_kernel = pytest.mark.skipif("native" not in FAST, reason="there is no C compiler")


def network(
    seeds: Sequence[int], out_features: int, hidden: Sequence[int] = (7, 12), activation: str = "relu"
) -> nn.Module:
    generators = [Generator().manual_seed(seed) for seed in seeds]
    if not hidden:
        return Linear(2, out_features, generators, init="normal", init_std=0.5)
    return MLP(2, out_features, generators, hidden=list(hidden), activation=activation, init="kaiming", init_std=0.02)


def batch(seeds: Sequence[int], classes: int, size: int = 5, number: int = 0) -> tuple[Tensor, Tensor]:
    """Return the samples (S, B, 2) and labels (S, B) that some seeds have, the same in any stack."""
    generators = [Generator().manual_seed(1000 * number + seed) for seed in seeds]
    x = torch.stack([torch.randn(size, 2, generator=generator) for generator in generators])
    return x, torch.stack([torch.randint(classes, (size,), generator=generator) for generator in generators])


def gradient_of(
    engine: Make, stack: nn.Module, objective: Objective, x: Tensor, target: Tensor
) -> tuple[Tensor, FlatParameters, Tensor]:
    """Return the outputs, the buffer and its gradient: without beta1, exp_avg of Adam after its first step."""
    flat = FlatParameters(stack)
    optimizer = Adam([flat.values], lr=1e-30, betas=(0.0, 0.999), fused=True)
    (outputs,) = train_on(engine(stack, objective, flat, optimizer), [(x, target)])
    return outputs, flat, optimizer.state[flat.values]["exp_avg"]


# A network hands its outputs to the loss whatever its activations are: each loss meets one, and one loss meets all.
PAIRS = [
    *((loss, classes, activation) for (loss, classes), activation in zip(TAKEN, cycle(ACTIVATIONS), strict=False)),
    *(("ce", 3, activation) for activation in ACTIVATIONS),
]


@pytest.mark.parametrize(("loss", "classes", "activation"), PAIRS)
def test_the_engines_compute_the_same_outputs_and_gradients(loss: str, classes: int, activation: str) -> None:
    objective = make(loss, classes)
    for hidden, size in (((7, 12), 5), ((50, 100, 50), 5), ((50, 100, 50), 13), ((1,), 3), ((33, 17), 32), ((), 4)):
        (expected, _, oracle), *others = (
            gradient_of(
                engine,
                network(range(3), objective.out_features, hidden, activation),
                objective,
                *batch(range(3), classes, size),
            )
            for engine in (AutogradEngine, *FAST.values())
        )
        assert oracle.norm() > 0
        for outputs, _, gradient in others:
            assert (outputs - expected).norm() <= 1e-6 * expected.norm()
            assert (gradient - oracle).norm() <= 1e-6 * oracle.norm()


@pytest.mark.parametrize(("loss", "classes", "activation"), PAIRS)
def test_the_engines_stay_together_for_100_steps(loss: str, classes: int, activation: str) -> None:
    objective = make(loss, classes)
    data = [batch(range(2), classes, number=step % 20) for step in range(100)]
    after = []
    for engine in (layerwise, AutogradEngine):
        stack = network(range(2), objective.out_features, activation=activation).double()
        flat = FlatParameters(stack)
        with single_threaded():
            trained = engine(stack, objective, flat, Adam([flat.values], lr=0.005, fused=True))
            train_on(trained, [(x.double(), target) for x, target in data])
        after.append(flat.values.detach())
    assert (after[0] - after[1]).norm() <= 1e-6 * after[1].norm()
    start = network(range(2), objective.out_features, activation=activation).double()
    assert (after[0] - FlatParameters(start).values).norm() > 0.1


OPTIMIZERS: dict[str, Callable[[Tensor], Optimizer]] = {
    "adam": lambda values: Adam([values], lr=0.005, fused=True),
    "adam with weight decay": lambda values: Adam(
        [values], lr=0.01, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.1, fused=True
    ),
    "adam with decoupled weight decay": lambda values: Adam(
        [values], lr=0.01, weight_decay=0.1, decoupled_weight_decay=True, fused=True
    ),
    "adamw": lambda values: AdamW([values], lr=0.01, weight_decay=0.1, fused=True),
}


# In single precision two engines part within some hundred steps, as training is chaotic. So each step starts anew from
# where the native engine is.
@needs_kernel
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_of_100_native_steps_is_that_of_autograd_and_torchs_optimizer(optimizer: str) -> None:
    objective = CrossEntropy(3)
    stacks = [network(range(2), 3) for _ in range(2)]
    flat, plain = (FlatParameters(stack) for stack in stacks)
    ours, theirs = (OPTIMIZERS[optimizer](buffer.values) for buffer in (flat, plain))
    trained, oracle = native(stacks[0], objective, flat, ours), AutogradEngine(stacks[1], objective, plain, theirs)
    with single_threaded():
        for step in range(100):
            data = [batch(range(2), 3, number=step % 20)]
            before = flat.values.detach().clone()
            plain.values.data.copy_(before)
            theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
            train_on(trained, data)
            train_on(oracle, data)
            change, expected = flat.values - before, plain.values - before
            rounding = 1e-7 * before.norm()  # of the sum of a number and its change
            assert (change - expected).norm() <= 1e-6 * expected.norm() + rounding
            for name, value in theirs.state[plain.values].items():
                assert (ours.state[flat.values][name] - value).norm() <= 1e-6 * value.norm()
    assert ours.state[flat.values]["step"] == 100
    assert (flat.values - FlatParameters(network(range(2), 3)).values).norm() > 0.1


# The products of awkward widths and mini-batches start at other alignments in a stack than those of a seed alone.
SHAPES = product([(50, 100, 50), (1,), (7,), (33, 65, 2), (64, 64), ()], [1, 2, 3, 5, 8, 16, 33])


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize(
    ("hidden", "size", "activation"),
    [(*shape, activation) for shape, activation in zip(SHAPES, cycle(ACTIVATIONS), strict=False)],
)
def test_a_seed_has_the_same_gradients_alone_and_in_a_stack(
    hidden: tuple[int, ...], size: int, activation: str, engine: str
) -> None:
    def backward(seeds: Sequence[int], classes: int) -> list[Tensor]:
        stack = network(seeds, classes, hidden, activation)
        outputs, flat, gradient = gradient_of(FAST[engine], stack, CrossEntropy(classes), *batch(seeds, classes, size))
        return [outputs, flat.rows(gradient)]

    for classes in (2, 3, 5):
        with single_threaded():
            together = backward(range(7), classes)
            for seed in (1, 2, 6):
                for stacked, alone in zip(together, backward([seed], classes), strict=True):
                    assert torch.equal(stacked[seed], alone[0])


@needs_kernel
def test_the_engine_is_the_fastest_that_can_train_the_network() -> None:
    stack, objective = network([0], 2), CrossEntropy(2)
    flat = FlatParameters(stack)
    adam = Adam([flat.values], fused=True)

    def chosen(stack: nn.Module = stack, optimizer: Optimizer = adam, **settings: Any) -> type:
        return type(select_engine(stack, objective, flat, optimizer, **settings))

    assert chosen() is NativeEngine
    assert chosen(requested="native") is NativeEngine
    assert chosen(requested="torch") is LayerwiseEngine
    assert chosen(optimizer=torch.optim.SGD([flat.values])) is LayerwiseEngine
    for requested in ("auto", "torch"):
        assert chosen(mixed=True, requested=requested) is AutogradEngine
        assert chosen(nn.Sequential(stack), requested=requested) is AutogradEngine


def test_an_unavailable_native_engine_is_refused_with_the_reason() -> None:
    stack, objective = network([0], 2), CrossEntropy(2)
    flat = FlatParameters(stack)
    adam = Adam([flat.values], fused=True)
    for reason, settings in {
        "only affine layers and activations": {"network": nn.Sequential(stack), "optimizer": adam},
        "all in one precision": {"network": stack, "optimizer": adam, "mixed": True},
        "only the optimizers adam and adamw": {"network": stack, "optimizer": torch.optim.SGD([flat.values])},
    }.items():
        with pytest.raises(SettingsError, match=rf"^Expected `engine` to be .*{reason}.*, got \"native\"") as refusal:
            select_engine(objective=objective, flat=flat, requested="native", **settings)  # type: ignore[arg-type]
        assert len(refusal.value.problems) == 1


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


@pytest.mark.parametrize("engine", FAST)
def test_the_padding_of_the_buffer_stays_zero(engine: str) -> None:
    stack = network(range(3), 3, (7,))
    flat = FlatParameters(stack)
    optimizer = AdamW([flat.values], lr=0.1, weight_decay=0.1, fused=True)
    trained = FAST[engine](stack, CrossEntropy(3), flat, optimizer)
    train_on(trained, [batch(range(3), 3, number=step) for step in range(5)])
    used = sum(value.count_nonzero() for value in stack.parameters())
    assert flat.values.count_nonzero() == used == sum(value.numel() for value in stack.parameters())
