import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.config.instantiate import Components, build_components, build_trainer, stack
from src.data import datamodule
from src.engines.native import engine as native
from src.engines.native.compile import NO_COMPILER, KernelFailure
from src.training.single_thread import single_threaded
from tests.losses import cases
from tests.losses.cases import TAKEN

TRAINED = [case for case in TAKEN if case[0] != "none"]  # which stands in where nothing is trained

Settings = Callable[..., dict[str, Any]]
MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
BRISK = (
    "model.init_std=0.3",
    "optimizer.lr=0.01",
    "data.samples_per_class=20",
)  # so that a few dozen steps go a long way

EPOCHS = {2: 7, 3: 5, 5: 3}  # of about 50 steps, by the number of classes


@pytest.fixture(scope="session")
def compose(settings: Settings) -> Settings:
    """Compose each set of overrides once."""
    return cache(settings)


def fit(settings: dict[str, Any], seeds: list[int], *callbacks: L.Callback) -> Components:
    """Train some seeds together, as src.experiments.condition does."""
    settings = settings | {"seed": seeds}
    parts = build_components(settings, stack(settings))
    with single_threaded():
        build_trainer(settings, list(callbacks)).fit(parts.classifier, datamodule=parts.datamodule)
    return parts


def same(parts: Components, index: int, other: Components, other_index: int) -> bool:
    """Whether two seeds, each of its stack, have equal parameters and losses of every step, bit for bit."""
    pairs = zip(kept(parts, index), kept(other, other_index), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def kept(parts: Components, index: int) -> list[Tensor]:
    """Return what the training of one seed leaves."""
    classifier = parts.classifier
    return [
        *(parameter[index] for parameter in parts.network.parameters()),
        *(losses[:, index] for losses in classifier.curves.step_loss),
        *(
            row[index]
            for rows in (classifier.curves.train_loss, classifier.curves.train_accuracy, classifier.curves.val_accuracy)
            for row in rows
        ),
    ]


# About 50 steps of a seed alone and at an odd index of a stack, as the even ones happen to lie at better alignments.
# The optimizer sees nothing but the buffer, so its kind and the activation are met by one loss each.
OTHERS = [("adam", "sigmoid"), ("adam", "tanh"), ("sgd", "relu"), ("adamw", "relu")]


@pytest.mark.parametrize(
    ("loss", "classes", "optimizer", "activation"),
    [
        *((loss, classes, "adam", "relu") for loss, classes in TRAINED),
        *((*case, *other) for case, other in zip((("ce", 3), ("mse", 5), ("bce", 2), ("ce", 5)), OTHERS, strict=True)),
    ],
)
def test_together_equals_alone(compose: Settings, loss: str, classes: int, optimizer: str, activation: str) -> None:
    settings = compose(f"optimizer={optimizer}", *BRISK) | {"classes": classes, "loss": cases.settings(loss)}
    settings["model"] = settings["model"] | {"activation": activation}
    settings["trainer"] = settings["trainer"] | {"max_epochs": EPOCHS[classes]}
    alone = fit(settings, [5])
    assert sum(map(len, alone.classifier.curves.step_loss)) in (48, 49, 50)
    assert same(fit(settings, [0, 1, 2, 5, 4, 3, 6]), 3, alone, 0)
    assert optimizer != "adam" or same(fit(settings, [1, 5, 3]), 1, alone, 0)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=linear",),
        ("model.hidden=[7,33]", "data.batch_size=7", "data.samples_per_class=37"),
        ("model.hidden=[1]", "data.batch_size=1", "data.samples_per_class=9"),
        ("model.hidden=[256,256]", "data.batch_size=32"),
        ("data.batch_size=1000", "data.val_fraction=0.1", "model.init=kaiming"),
        ("data.stratified_batches=true", "data.batch_size=7"),
        ("trainer.precision=64-true",),
    ],
    ids=str,
)
def test_together_equals_alone_in_unusual_shapes(compose: Settings, overrides: tuple[str, ...]) -> None:
    start = () if "model=linear" in overrides else BRISK[:1]
    settings = compose(*start, *BRISK[1:], "classes=3", "trainer.max_epochs=3", *overrides)
    together = fit(settings, [1, 5, 3, 2])
    assert same(together, 1, fit(settings, [5]), 0)
    assert same(together, 3, fit(settings, [2]), 0)


@pytest.mark.integration
def test_together_equals_alone_over_the_whole_recipe(compose: Settings) -> None:
    settings = compose("loss=ce", "classes=2")
    assert settings["trainer"]["max_epochs"] == 499
    together, alone = fit(settings, [3, 0, 12]), fit(settings, [0])
    assert sum(map(len, alone.classifier.curves.step_loss)) == 12_974
    assert same(together, 1, alone, 0)
    assert not same(together, 0, alone, 0)
    assert alone.classifier.curves.train_accuracy[-1] > 0.7


def test_the_order_and_the_company_of_the_seeds_do_not_show(compose: Settings) -> None:
    settings = compose(*BRISK, "trainer.max_epochs=3")
    first, second = fit(settings, [4, 8, 15]), fit(settings, [23, 15, 42, 4])
    assert same(first, 0, second, 3)
    assert same(first, 2, second, 1)


def test_the_same_command_gives_the_same_bits_again(compose: Settings) -> None:
    settings = compose(*BRISK, "trainer.max_epochs=3")
    first, second = fit(settings, [0, 1]), fit(settings, [0, 1])
    assert same(first, 0, second, 0)
    assert same(first, 1, second, 1)


def sequential(parts: Components, index: int, activation: str = "relu") -> nn.Sequential:
    """Return one seed of a stack as a network of its own, written as the slides do."""
    layers: list[nn.Module] = []
    network: Any = parts.network
    for layer in [*network.trunk, network.head]:
        weight, bias = layer.weight[index].detach(), layer.bias[index, 0].detach()
        alone = nn.Linear(*weight.shape)
        alone.weight.data, alone.bias.data = weight.T.clone(), bias.clone()
        layers += [alone, MODULES[activation]()]
    return nn.Sequential(*layers[:-1])


@dataclass
class Plain:
    """The records of a loop over one seed."""

    network: nn.Sequential
    step_loss: list[list[float]] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)


def plain_loop(settings: dict[str, Any], index: int, optimizer: type[torch.optim.Optimizer]) -> Plain:
    """Train one seed as a script without losslab would, but on the same data, weights and mini-batches."""
    parts = build_components(settings, stack(settings))
    data = parts.datamodule
    data.setup()
    record = Plain(sequential(parts, index, settings["model"]["activation"]))
    stepper = optimizer(record.network.parameters(), lr=settings["optimizer"]["lr"])  # type: ignore[call-arg]
    regression = parts.objective.out_features == 1
    loss_function = nn.MSELoss() if regression else nn.CrossEntropyLoss()

    def measure(x: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """Return the loss, and how many labels are right."""
        output = record.network(x)
        preds = output[:, 0].round().clamp(0, settings["classes"] - 1) if regression else output.argmax(1)
        return loss_function(output, target.float()[:, None] if regression else target), int((preds == target).sum())

    loader = data.train_dataloader()
    for _ in range(settings["trainer"]["max_epochs"]):
        losses, sizes, correct = [], [], 0
        (block,) = loader
        for x, target in block.mini_batches():
            loss, right = measure(x[index], target[index])
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            losses.append(loss.item())
            sizes.append(len(x[index]))
            correct += right
        record.step_loss.append(losses)
        record.train_loss.append(float(np.average(losses, weights=sizes)))
        record.train_accuracy.append(correct / sum(sizes))
        for x, target in data.val_dataloader() if settings["data"]["val_fraction"] else []:
            with torch.no_grad():
                loss, right = measure(x[index], target[index])
            record.val_loss.append(loss.item())
            record.val_accuracy.append(right / x.shape[1])
    return record


@pytest.mark.parametrize("val_fraction", [0, 0.1])
@pytest.mark.parametrize(
    ("loss", "activation", "name", "optimizer"),
    [
        ("ce", "relu", "adam", torch.optim.Adam),
        ("mse", "relu", "adam", torch.optim.Adam),
        ("ce", "tanh", "adamw", torch.optim.AdamW),
        ("mse", "sigmoid", "sgd", torch.optim.SGD),
    ],
)
def test_training_is_that_of_a_plain_loop_over_each_seed(
    compose: Settings,
    loss: str,
    activation: str,
    name: str,
    optimizer: type[torch.optim.Optimizer],
    val_fraction: float,
) -> None:
    settings = compose(f"loss={loss}", f"optimizer={name}", *BRISK, "classes=3", "trainer.max_epochs=5")
    settings["model"] = settings["model"] | {"activation": activation}
    settings["data"] = settings["data"] | {"val_fraction": val_fraction}
    settings["seed"] = [0, 1, 2]
    parts = fit(settings, settings["seed"])
    classifier = parts.classifier
    assert len(classifier.curves.val_loss) == len(classifier.curves.val_accuracy) == (5 if val_fraction else 0)
    for index in range(3):
        with single_threaded():
            plain = plain_loop(settings, index, optimizer)
        assert sum(map(len, plain.step_loss)) > 40
        for kind in ("step_loss", "train_loss", "val_loss", "train_accuracy", "val_accuracy"):
            history = [row[..., index].tolist() for row in getattr(classifier.curves, kind)]
            np.testing.assert_allclose(history, getattr(plain, kind), rtol=1e-3, atol=1e-4, err_msg=kind)
        for value, other in zip(sequential(parts, index).parameters(), plain.network.parameters(), strict=True):
            np.testing.assert_allclose(value.detach(), other.detach(), rtol=1e-3, atol=1e-4)


def test_the_loss_of_an_epoch_weighs_a_short_last_mini_batch_by_its_points(compose: Settings) -> None:
    settings = compose(*BRISK, "data.batch_size=30", "trainer.max_epochs=1")
    (losses,), (mean,) = (getattr(fit(settings, [0]).classifier.curves, name) for name in ("step_loss", "train_loss"))
    assert losses.shape == (2, 1)  # 30 samples and 2
    assert mean.item() == pytest.approx((30 * losses[0].item() + 2 * losses[1].item()) / 32)


def test_an_epoch_in_several_blocks_is_an_epoch_in_one(compose: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = compose(*BRISK, "trainer.max_epochs=3", "data.val_fraction=0.25")
    whole = fit(settings, [0, 1])
    monkeypatch.setattr(datamodule, "MAX_BLOCK", 12)  # two mini-batches of 5
    assert len(whole.datamodule.train_dataloader()) == 3  # of 10, 10 and 2 samples
    blocks = fit(settings, [0, 1])
    assert same(blocks, 0, whole, 0)
    assert same(blocks, 1, whole, 1)
    assert all(map(torch.equal, blocks.classifier.curves.train_loss, whole.classifier.curves.train_loss))


class Spoil(L.Callback):
    """Put a value into the training samples of one seed."""

    def __init__(self, index: int, value: float) -> None:
        self.index = index
        self.value = value

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.datamodule.train.x[self.index, 3] = self.value  # type: ignore[attr-defined]


@pytest.mark.parametrize(("loss", "value"), [("ce", math.nan), ("ce", math.inf), ("mse", math.nan), ("mse", 1e38)])
def test_a_seed_that_diverges_leaves_the_others_as_they_are(compose: Settings, loss: str, value: float) -> None:
    settings = compose(f"loss={loss}", *BRISK, "trainer.max_epochs=4")
    well, spoilt = fit(settings, [0, 1, 2]), fit(settings, [0, 1, 2], Spoil(1, value))
    assert same(well, 0, spoilt, 0)
    assert same(well, 2, spoilt, 2)
    losses = torch.cat(spoilt.classifier.curves.step_loss)
    assert not losses[:, 1].isfinite().all()
    assert losses[:, [0, 2]].isfinite().all()
    assert len(losses) == 4 * 7  # trained to the end


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("64-true", torch.float64), ("bf16-true", torch.bfloat16)]
)
def test_the_trainers_precision_is_that_of_the_training(compose: Settings, precision: str, dtype: torch.dtype) -> None:
    parts = fit(compose(*BRISK, "trainer.max_epochs=2", f"trainer.precision={precision}"), [0, 1])
    classifier = parts.classifier
    assert {parameter.dtype for parameter in parts.network.parameters()} == {classifier.flat.values.dtype} == {dtype}
    assert torch.cat(classifier.curves.step_loss).isfinite().all()


def test_the_optimizer_holds_one_buffer_that_the_network_looks_into(compose: Settings) -> None:
    parts = fit(compose(*BRISK, "trainer.max_epochs=1"), [0, 1])
    (group,) = parts.classifier.optimizers(use_pl_optimizer=False).param_groups  # type: ignore[union-attr]
    (buffer,) = group["params"]
    assert buffer is parts.classifier.flat.values
    assert group["fused"]
    storage = buffer.untyped_storage().data_ptr()
    assert all(parameter.untyped_storage().data_ptr() == storage for parameter in parts.network.parameters())


def test_outputs_are_those_of_the_network(compose: Settings) -> None:
    settings = compose(*BRISK) | {"seed": [0, 1]}
    parts = build_components(settings, stack(settings))
    x = torch.randn(2, 5, 2)
    assert torch.equal(parts.classifier(x), parts.network(x))


@pytest.mark.parametrize(
    ("failure", "optimizer", "lines"), [("no space", "adam", 1), ("no space", "sgd", 0), (None, "adam", 0)]
)
def test_a_kernel_that_cannot_be_compiled_is_logged(
    failure: str | None,
    optimizer: str,
    lines: int,
    compose: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reason = NO_COMPILER if failure is None else KernelFailure(failure)
    monkeypatch.setattr(native, "library", lambda: (None, reason))
    parts = fit(compose(*BRISK, f"optimizer={optimizer}", "trainer.max_epochs=1"), [0])
    assert parts.engine == "layerwise"
    assert [record.getMessage().endswith("the native kernel no space") for record in caplog.records] == [True] * lines
