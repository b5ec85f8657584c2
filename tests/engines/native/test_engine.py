import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from src.engines.autograd import AutogradEngine
from src.engines.base import Schedule
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native import engine as native
from src.engines.native.compile import TUNING
from src.engines.native.engine import NativeEngine, unsupported_reason
from src.engines.select import select_engine
from src.losses.ce import CrossEntropy
from src.losses.class_weighted import class_weighted
from src.losses.mse import MeanSquaredError
from src.models.activations import ACTIVATIONS, Activation
from src.models.linear import Linear
from src.models.mlp import MLP
from src.training.single_thread import single_threaded
from tests.blocks import train_on
from tests.commands import CONSOLE, SHORT, results

pytestmark = pytest.mark.skipif(native.library()[0] is None, reason="there is no C compiler")


def stack(seeds: int = 2, hidden: Sequence[int] = (20, 9), outputs: int = 2) -> MLP:
    generators = [Generator().manual_seed(seed) for seed in range(seeds)]
    return MLP(2, outputs, generators, hidden=list(hidden), activation="relu", init="kaiming", init_std=0.02)


def epoch(seeds: int = 2, samples: int = 23, batch_size: int = 5) -> list[tuple[Tensor, Tensor]]:
    x = torch.randn(seeds, samples, 2, generator=Generator().manual_seed(1))
    target = (x.sum(-1) > 0).long()
    return list(zip(x.split(batch_size, dim=1), target.split(batch_size, dim=1), strict=True))


def adam(flat: FlatParameters) -> Optimizer:
    return Adam([flat.values], lr=0.005, fused=True)


def test_training_learns_and_goes_on_bit_for_bit_from_a_saved_state() -> None:
    objective = CrossEntropy(2)
    after = []
    for parts in ([20], [7, 13]):
        network = stack()
        flat = FlatParameters(network)
        optimizer = adam(flat)
        for epochs in parts:
            state = optimizer.state_dict()
            optimizer = adam(flat)
            optimizer.load_state_dict(state)
            engine = NativeEngine(network.layers, objective, flat, optimizer)
            outputs = [train_on(engine, epoch()) for _ in range(epochs)]
        after.append(flat.values.detach())
        assert optimizer.state[flat.values]["step"] == 20 * 5
    assert torch.equal(*after)
    first, last = (
        objective.loss(torch.cat(each, dim=1), torch.cat([target for _, target in epoch()], dim=1))
        for each in (outputs[0], outputs[-1])
    )
    assert (last < first).all()


def test_seeds_trained_in_chunks_end_where_they_do_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after = []
    for cache, chunks in ((2**30, [5]), (2**13, [2, 2, 1]), (1, [1] * 5)):
        monkeypatch.setattr(native, "MAX_CHUNK_BYTES", cache)
        network = stack(5)
        flat = FlatParameters(network)
        engine = NativeEngine(network.layers, CrossEntropy(2), flat, adam(flat))
        assert [len(network.head.weight[chunk]) for chunk in engine._chunks()] == chunks
        outputs = [train_on(engine, epoch(5)) for _ in range(3)]
        after.append((flat.values.detach(), torch.cat(outputs[-1], dim=1)))
    for values, outputs in after[1:]:
        assert torch.equal(values, after[0][0])
        assert torch.equal(outputs, after[0][1])


@pytest.mark.parametrize("schedule", [(), [[{"lr": 0.1 / step}] for step in range(1, 6)]])
def test_steps_in_several_calls_of_the_kernel_are_those_of_one(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = []
    for steps in (64, 3):  # of an epoch of four mini-batches of 5 and one of 3
        monkeypatch.setattr(native, "MAX_STEPS", steps)
        network = stack()
        flat = FlatParameters(network)
        train_on(NativeEngine(network.layers, CrossEntropy(2), flat, adam(flat)), epoch(), schedule)
        after.append(flat.values.detach())
    assert torch.equal(*after)


def test_class_weights_stay_with_their_seed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.tensor([[1.0, 1.0], [0.5, 2.0], [3.0, 0.2]])
    after = []
    for cache in (2**30, 1):
        monkeypatch.setattr(native, "MAX_CHUNK_BYTES", cache)
        network = stack(3)
        flat = FlatParameters(network)
        objective = class_weighted(CrossEntropy(2), lambda: weights)
        train_on(NativeEngine(network.layers, objective, flat, adam(flat)), epoch(3))
        after.append(flat.values.detach())
    assert torch.equal(*after)


@pytest.mark.parametrize("cache", [2**30, 1])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_factor_of_a_seed_is_a_factor_of_its_rate(
    kind: type[Optimizer], cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "MAX_CHUNK_BYTES", cache)  # 1: each seed is a chunk of its own

    def trained(factors: Sequence[float], seeds: int) -> Tensor:
        network = stack(3)
        flat = FlatParameters(network)
        optimizer: Any = kind([flat.values], lr=0.01 * (factors[0] if seeds == 1 else 1), weight_decay=0.1, fused=True)  # type: ignore[call-arg]
        if seeds > 1:
            flat.set_factors(torch.tensor(factors, dtype=torch.float64))
        engine = NativeEngine(network.layers, CrossEntropy(2), flat, optimizer, scale=True)
        for _ in range(3):
            train_on(engine, epoch(3))
        return flat.rows(flat.values.detach())

    factors = [1.0, 0.5, 0.25]
    together = trained(factors, 3)
    for seed, factor in enumerate(factors):
        alone = trained([factor], 1)[seed]
        if kind is Adam or factor == 1:  # powers of two are exact
            assert torch.equal(together[seed], alone)
        torch.testing.assert_close(together[seed], alone, rtol=1e-3, atol=1e-5)


def test_a_changed_rate_counts_from_the_next_epoch_on() -> None:
    network = stack()
    flat = FlatParameters(network)
    optimizer = adam(flat)
    engine = NativeEngine(network.layers, CrossEntropy(2), flat, optimizer)
    train_on(engine, epoch())
    before = flat.values.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.0
    train_on(engine, epoch())
    assert torch.equal(flat.values, before)


def test_nan_and_infinity_stay_with_their_seed() -> None:
    with single_threaded():
        values = {}
        for poison in (1.0, math.nan, math.inf):
            network = stack(3)
            flat = FlatParameters(network)
            network.trunk[0].weight.data[1, 0, 0] = poison  # type: ignore[union-attr, index]
            engine = NativeEngine(network.layers, CrossEntropy(2), flat, adam(flat))
            for _ in range(3):
                outputs = train_on(engine, epoch(3))
            values[poison] = flat.rows(flat.values.detach()), torch.cat(outputs, dim=1)
        for poison in (math.nan, math.inf):
            for found, clean in zip(values[poison], values[1.0], strict=True):
                assert not found[1].isfinite().all()
                assert torch.equal(found[[0, 2]], clean[[0, 2]])


def test_other_shapes_and_precisions_never_reach_the_kernel() -> None:
    network = stack()
    flat = FlatParameters(network)
    narrow: Any = SimpleNamespace(gradient=lambda outputs, target: outputs[:, :1])
    wrong = NativeEngine(network.layers, narrow, flat, adam(flat))
    with pytest.raises(ValueError, match=r"^the gradient of the loss: expected float32 of shape \(2, 5, 2\)"):
        train_on(wrong, epoch())
    engine = NativeEngine(network.layers, CrossEntropy(2), flat, adam(flat))
    for x in (torch.zeros(2, 5, 3), torch.zeros(1, 5, 2), torch.zeros(2, 5, 2, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"^x: expected float32 of shape \(1, 2, 5, 2\), got torch.float"):
            train_on(engine, [(x, torch.zeros(2, 5, dtype=torch.int64))])


def test_what_the_kernel_cannot_do_is_said() -> None:
    network = stack()
    flat = FlatParameters(network)
    assert unsupported_reason(network.layers, flat.values, adam(flat)) is None
    own = [(network.head, Activation(torch.sin, lambda dy, y: dy, 1.0))]
    assert unsupported_reason(own, flat.values, adam(flat)) == "lacks an activation of this network"
    double = FlatParameters(stack().double())
    assert (
        unsupported_reason(network.layers, double.values, adam(double)) == "computes on the CPU and in single precision"
    )
    for optimizer in (
        SGD([flat.values], lr=0.1),
        Adam([flat.values]),
        Adam([flat.values], amsgrad=True, fused=True),
        Adam([flat.values], maximize=True, fused=True),
        Adam([flat.values], capturable=True, fused=True),
    ):
        assert unsupported_reason(network.layers, flat.values, optimizer) is not None


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("kind", [CrossEntropy, MeanSquaredError])
def test_the_kernel_has_the_gradients_of_these_objectives(kind: type[Any], scale: float, classes: int) -> None:
    objective = kind(classes)
    samples = torch.randn(3, 40, 2, generator=Generator().manual_seed(1)) * scale
    target = torch.arange(40).remainder(classes).expand(3, 40)
    generators = [Generator().manual_seed(seed) for seed in range(3)]
    network = Linear(2, objective.out_features, generators, init="kaiming", init_std=0.02)
    expected = samples.mT @ objective.gradient(network(samples), target).detach()  # (S, 2, O)
    flat = FlatParameters(network)
    optimizer = Adam([flat.values], lr=1e-30, betas=(0.0, 0.999), fused=True)
    train_on(NativeEngine(network.layers, objective, flat, optimizer), [(samples, target)])
    flat.values.data.copy_(optimizer.state[flat.values]["exp_avg"])  # so that the weights are their gradients
    torch.testing.assert_close(network.head.weight, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_labels_between_classes_are_trained_on_as_they_are() -> None:
    after = []
    for make in (NativeEngine, LayerwiseEngine):
        network = stack(outputs=1)
        flat = FlatParameters(network)
        batches = [(x, target / 2) for x, target in epoch()]
        train_on(make(network.layers, MeanSquaredError(2), flat, adam(flat)), batches)
        after.append(flat.values.detach())
    torch.testing.assert_close(*after, rtol=1e-4, atol=1e-5)


class Constant(CrossEntropy):
    """A loss whose gradient is 0."""

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        return torch.zeros_like(outputs)


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_a_step_of_adam_is_that_of_its_formula_at_every_size(eps: float) -> None:
    network = stack(3, hidden=[50, 36])
    flat = FlatParameters(network)
    flat.values.data.zero_()
    optimizer = Adam([flat.values], lr=0.01, eps=eps, fused=True)
    engine = NativeEngine(network.layers, Constant(2), flat, optimizer)
    train_on(engine, epoch(3, samples=5))
    state = optimizer.state[flat.values]
    before = flat.values.detach().clone()
    generator = Generator().manual_seed(0)
    size = len(before)
    state["exp_avg"].copy_(
        torch.randn(size, generator=generator) * 10 ** (30 * torch.rand(size, generator=generator) - 15)
    )
    state["exp_avg_sq"].copy_(10 ** (60 * torch.rand(size, generator=generator) - 30))
    state["exp_avg_sq"][::7] = 0
    mean, square = (0.9 * state["exp_avg"].double(), 0.999 * state["exp_avg_sq"].double())
    train_on(engine, epoch(3, samples=5))
    change = 0.01 / (1 - 0.9**2) * mean / ((square / (1 - 0.999**2)).sqrt() + eps)
    own = flat.from_rows(flat.rows(torch.ones(size))) > 0  # not what fills the blocks up
    torch.testing.assert_close(flat.values.detach()[own].double(), (before - change)[own], rtol=1e-6, atol=0)


def test_an_objective_derived_from_one_in_the_kernel_keeps_its_gradient() -> None:
    network = stack()
    flat = FlatParameters(network)
    before = flat.values.detach().clone()
    train_on(NativeEngine(network.layers, Constant(2), flat, adam(flat)), epoch())
    assert torch.equal(flat.values, before)


def test_every_activation_has_a_code() -> None:
    assert set(ACTIVATIONS.values()) < set(native.CODES)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86-64")
@pytest.mark.parametrize(
    "flags", ["-D__AVX512F__", "-march=native -mno-avx512f", ""], ids=["AVX-512, emulated", "AVX", "plain"]
)
def test_registers_of_any_width_give_the_gradients_of_autograd(flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNING, flags)
    kernel = native.library.__wrapped__()
    monkeypatch.setattr(native, "library", lambda: kernel)
    for objective, hidden, samples in product(
        (CrossEntropy(2), MeanSquaredError(2)), ([20, 9], [50, 100, 50], [3, 4], [17, 8], [33, 101, 9]), (5, 37, 130)
    ):
        batch = epoch(samples=samples, batch_size=samples)
        gradients = []
        for make in (AutogradEngine, lambda network, *rest: select_engine(network, *rest, requested="native")):
            network = stack(2, hidden=hidden, outputs=objective.out_features)
            flat = FlatParameters(network)
            optimizer = Adam([flat.values], lr=1e-30, betas=(0.0, 0.999), fused=True)
            train_on(make(network, objective, flat, optimizer), batch)
            gradients.append(optimizer.state[flat.values]["exp_avg"])
        assert (gradients[0] - gradients[1]).norm() <= 1e-6 * gradients[0].norm()


@pytest.mark.parametrize("samples", [5, 16, 67, 130])
def test_wide_networks_train_alone_as_they_do_together(samples: int) -> None:
    after = []
    for seeds in ([0, 1, 2], [2]):
        generators = [Generator().manual_seed(seed) for seed in seeds]
        network = MLP(2, 2, generators, hidden=[130, 67], activation="relu", init="kaiming", init_std=0.02)
        flat = FlatParameters(network)
        batches = [(x[seeds], target[seeds]) for x, target in epoch(3, samples=2 * samples, batch_size=samples)]
        engine = NativeEngine(network.layers, CrossEntropy(2), flat, adam(flat))
        outputs = [train_on(engine, batches) for _ in range(3)]
        after.append((flat.rows(flat.values.detach())[-1], torch.cat(outputs[-1], dim=1)[-1]))
    for together, alone in zip(*after, strict=True):
        assert torch.equal(together, alone)


@pytest.mark.integration
def test_without_a_compiler_only_engine_native_is_refused(tmp_path: Path) -> None:
    env = os.environ | {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "src.train", *SHORT, "export=none", "figures=none"]
    refused = subprocess.run(
        [*command, "engine=native"], cwd=tmp_path, env=env, capture_output=True, encoding=CONSOLE, errors="replace"
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("Expected `engine` to be auto or torch, as the native kernel needs a C compiler")
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding=CONSOLE, errors="replace")
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path)) == 1
