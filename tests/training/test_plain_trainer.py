"""The module in a ``lightning.Trainer`` that its user wrote, as in a notebook."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from src.engines.block_optimizer import BlockOptimizer
from src.losses.ce import CrossEntropy
from src.models.mlp import MLP
from src.training.module import StackedClassifier

SEEDS = 3
ADAM = partial(Adam, lr=0.02, fused=True)
MOMENTUM = partial(SGD, lr=0.1, momentum=0.9)
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*")  # Lightning's own use of torch's pytrees


class Moons(L.LightningDataModule):
    """A data module of a user: mini-batches (B, D) and (B,), which all seeds share."""

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(60, 2, generator=generator)
        self.y = (self.x[:, 0] * self.x[:, 1] > 0).long()

    def loader(self, rows: slice) -> DataLoader[Any]:
        return DataLoader(TensorDataset(self.x[rows], self.y[rows]), batch_size=8)

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(slice(40))

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(slice(40, 60))

    test_dataloader = predict_dataloader = val_dataloader


def parts(**network: Any) -> dict[str, Any]:
    generators = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
    chosen = {"hidden": [8], "activation": "relu", "init": "kaiming", "init_std": 0.5} | network
    return {"network": MLP(2, 2, generators, **chosen), "objective": CrossEntropy(2)}


def classifier(optimizer: Any = ADAM, **options: Any) -> StackedClassifier:
    return StackedClassifier(**parts(), optimizer=optimizer, **options)


def trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "max_epochs": 6}
    return L.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=list(callbacks),
        **({"log_every_n_steps": 1} | quiet | options),
    )


def weights(module: L.LightningModule) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_a_notebook_trains_stops_saves_tests_and_predicts(tmp_path: Path) -> None:
    model, data = classifier(scheduler=partial(StepLR, step_size=2, gamma=0.5)), Moons()
    saving = ModelCheckpoint(tmp_path / "saved", monitor="val/loss", save_last=True)
    monitor = LearningRateMonitor("epoch")
    stopping = EarlyStopping("val/loss", min_delta=10, patience=2)
    logger = CSVLogger(tmp_path, version=0)
    fitted = trainer(tmp_path, saving, stopping, monitor, logger=logger, max_epochs=20)
    fitted.fit(model, datamodule=data)

    assert fitted.current_epoch == 3  # of 20: nothing improves by 10
    assert fitted.global_step == 3 * 5  # mini-batches, as each batch of a plain loader is one
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy"} <= fitted.callback_metrics.keys()
    assert fitted.callback_metrics["val/loss"] == pytest.approx(float(model.curves.val_loss[-1].mean()))
    log = pd.read_csv(tmp_path / "lightning_logs/version_0/metrics.csv")
    np.testing.assert_allclose(log["train/loss"].dropna(), [float(loss.mean()) for loss in model.curves.train_loss])
    np.testing.assert_allclose(log["lr"].dropna().unique(), [0.02, 0.01])

    (tested,) = fitted.test(model, datamodule=data, verbose=False)
    x, y = data.x[40:].expand(SEEDS, -1, -1), data.y[40:].expand(SEEDS, -1)
    outputs = model(x).detach()
    assert tested["test/loss"] == pytest.approx(float(model.objective.loss(outputs, y).mean()))
    assert tested["test/accuracy"] == pytest.approx(float((outputs.argmax(-1) == y).float().mean()))
    predicted: Any = fitted.predict(model, datamodule=data)
    assert torch.equal(torch.cat(predicted, dim=1), outputs.argmax(-1))

    loaded = StackedClassifier.load_from_checkpoint(
        tmp_path / "saved/last.ckpt", **parts(init="normal"), optimizer=Adam
    )
    assert torch.equal(weights(loaded), weights(model))
    assert loaded.hparams["interval"] == "epoch"


class Cut(L.Callback):
    """Ends the training after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self.epoch


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("optimizer", [ADAM, MOMENTUM])
def test_ckpt_path_continues_bitwise(optimizer: Any, tmp_path: Path) -> None:
    schedule = partial(OneCycleLR, max_lr=0.05, total_steps=30)
    whole = classifier(optimizer, scheduler=schedule, interval="step")
    trainer(tmp_path / "whole").fit(whole, datamodule=Moons())
    cut, continued = (classifier(optimizer, scheduler=schedule, interval="step") for _ in range(2))
    saving = ModelCheckpoint(tmp_path / "saved", save_last=True)
    trainer(tmp_path / "cut", Cut(3), saving).fit(cut, datamodule=Moons())
    trainer(tmp_path / "rest").fit(continued, datamodule=Moons(), ckpt_path=str(tmp_path / "saved/last.ckpt"))
    assert torch.equal(weights(continued), weights(whole))
    assert not torch.equal(weights(cut), weights(whole))
    assert torch.equal(torch.stack(continued.curves.val_loss), torch.stack(whole.curves.val_loss))


def by_hand(optimizer: Any, scheduler: Any, interval: str, epochs: int) -> Tensor:
    """Train as a loop of torch alone does, each seed's loss in the sum."""
    data = Moons()
    data.setup()
    network, objective = parts().values()
    stepper = optimizer(network.parameters())
    schedule: LRScheduler = scheduler(stepper)
    for _ in range(epochs):
        losses = []
        for x, y in data.train_dataloader():
            loss = objective.loss(network(x.expand(SEEDS, -1, -1)), y.expand(SEEDS, -1))
            losses.append(loss.mean().detach())
            stepper.zero_grad()
            loss.sum().backward()
            stepper.step()
            if interval == "step":
                schedule.step()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(torch.stack(losses).mean())
        elif interval == "epoch":
            schedule.step()
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize(
    ("optimizer", "engine"), [(ADAM, "auto"), (ADAM, "torch"), (ADAM, "autograd"), (MOMENTUM, "auto")]
)
@pytest.mark.parametrize(
    ("scheduler", "interval"),
    [
        (partial(StepLR, step_size=2, gamma=0.1), "epoch"),
        (partial(OneCycleLR, max_lr=0.05, total_steps=30), "step"),  # schedules the momentum too
        (partial(ReduceLROnPlateau, threshold=0.2, patience=0), "epoch"),
    ],
)
def test_a_schedule_is_that_of_a_plain_loop_in_every_engine(
    optimizer: Any, scheduler: Any, interval: str, engine: str, tmp_path: Path
) -> None:
    expected = by_hand(optimizer, scheduler, interval, epochs=6)
    model = classifier(
        optimizer, scheduler=scheduler, interval=interval, engine="auto" if engine == "autograd" else engine
    )
    if engine == "autograd":
        model.network = nn.Sequential(model.network)  # which only autograd can train
    trainer(tmp_path, limit_val_batches=0).fit(model, datamodule=Moons())
    torch.testing.assert_close(weights(model), expected, rtol=2e-3, atol=2e-4)


def test_fast_dev_run_takes_one_step_and_validates(tmp_path: Path) -> None:
    model = classifier()
    fitted = trainer(tmp_path, fast_dev_run=True)
    fitted.fit(model, datamodule=Moons())
    assert fitted.global_step == 1
    assert {name: len(curve) for name, curve in model.curves.of_epochs().items() if curve} == dict.fromkeys(
        ("train/loss", "train/accuracy", "val/loss", "val/accuracy"), 1
    )


def test_max_steps_ends_within_an_epoch(tmp_path: Path) -> None:
    model = classifier()
    trainer(tmp_path, max_steps=7).fit(model, datamodule=Moons())
    assert [len(losses) for losses in model.curves.step_loss] == [5, 2]


def test_loading_a_state_keeps_what_the_two_optimizers_share() -> None:
    buffer = torch.nn.Parameter(torch.ones(4))
    optimizer = Adam([buffer], lr=0.1, fused=True)
    block = BlockOptimizer(optimizer)
    buffer.grad = torch.ones(4)
    optimizer.step()
    state = block.state_dict()
    state["param_groups"][0]["lr"] = 0.5
    block.load_state_dict(state)
    block.param_groups[0]["eps"] = 0.25
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["eps"]) == (0.5, 0.25)
    assert block.state is optimizer.state
    assert block.step(lambda: 7) == 7
