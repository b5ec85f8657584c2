"""The groups scheduler, callbacks, logger, profiler, debug and paths: each choice takes effect."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import lightning as L
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, RichModelSummary
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from src.config.instantiate import build_callbacks, build_components, build_trainer, check_settings, stack
from src.config.paths import CONFIG_DIR
from src.storage.schema import read_results
from src.training.callbacks.progress import SeedProgressBar
from src.utils.validation import SettingsError
from tests.commands import run

SMALL = ("data.samples_per_class=10", "model.hidden=[4]")  # 16 samples to train on
EPOCHS, STEPS, LR = 4, 4, 0.01
RATES = {
    "none": lambda epoch: LR,
    "cosine": lambda epoch: LR * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2,
    "step": lambda epoch: LR / 2 ** (epoch // 2),
    "one_cycle": lambda epoch: one_cycle()[epoch * STEPS],
    "plateau": lambda epoch: LR,  # which is multiplied with a factor for each seed
    "warmup_cosine": lambda epoch: LR / 2 if epoch == 0 else LR * (1 + math.cos(math.pi * (4 * epoch - 2) / 14)) / 2,
}
WORDS = {
    "step": ("scheduler.step_size=2",),
}


def one_cycle():
    optimizer = SGD([torch.ones(1)], lr=LR, momentum=0.9)
    scheduler = OneCycleLR(optimizer, max_lr=LR, total_steps=EPOCHS * STEPS)
    rates = []
    for _ in range(EPOCHS * STEPS):
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    return rates


class Rates(L.Callback):
    """Keeps the learning rate at the start of each epoch."""

    def __init__(self):
        self.rates = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(config, *callbacks, folder=None):
    parts = build_components(config, stack(config))
    trainer = build_trainer(config, [*callbacks, *build_callbacks(config)], folder)
    trainer.fit(parts.classifier, datamodule=parts.datamodule)
    return parts, trainer


@pytest.mark.parametrize("choice", sorted(path.stem for path in CONFIG_DIR.glob("scheduler/*.yaml")))
def test_each_scheduler_sets_its_rates(choice, settings):
    words = (f"scheduler={choice}", *WORDS.get(choice, ()), f"trainer.max_epochs={EPOCHS}", f"optimizer.lr={LR}")
    config = settings(*SMALL, "data.batch_size=4", *words)
    check_settings(config)
    seen = Rates()
    fit(config, seen)
    assert seen.rates == pytest.approx([RATES[choice](epoch) for epoch in range(EPOCHS)])


def test_a_schedule_ends_with_the_training(settings):
    config = settings(*SMALL, "scheduler=cosine", "scheduler.interval=step", "+trainer.max_steps=6")
    parts, trainer = fit(config)
    assert trainer.global_step == 6
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    assert sum(map(len, parts.classifier.curves.step_loss)) == 6


COUNT = """
import lightning as L


class Count(L.Callback):
    def __init__(self, start):
        self.count = start

    def on_train_epoch_end(self, trainer, pl_module):
        self.count += 1
"""


def test_callbacks_of_the_group_and_of_a_package_are_built(settings, tmp_path, monkeypatch):
    (tmp_path / "mycallbacks.py").write_text(COUNT)
    monkeypatch.syspath_prepend(tmp_path)
    mine = ("+callbacks.mine._target_=mycallbacks.Count", "+callbacks.mine.start=5", "allow_targets=[mycallbacks]")
    config = settings(*SMALL, "trainer.max_epochs=2", *mine)
    check_settings(config)
    _, trainer = fit(config)
    [count] = [callback.count for callback in trainer.callbacks if hasattr(callback, "count")]
    assert count == 7
    assert "train/loss" in trainer.callback_metrics


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        ("none", []),
        ("default", [RichModelSummary, SeedProgressBar]),
        ("model_summary", [RichModelSummary]),
        ("rich_progress", [SeedProgressBar]),
        ("[lr_monitor,model_summary]", [LearningRateMonitor, RichModelSummary]),
    ],
)
def test_each_choice_of_callbacks_is_built(choice, kinds, settings):
    assert [type(callback) for callback in build_callbacks(settings(f"callbacks={choice}"))] == kinds


def test_loggers_get_the_means_over_the_seeds_and_the_rate(train, tmp_path):
    words = (*SMALL, "seed=[1,2]", "trainer.max_epochs=3", "figures=none", "export=none", "data.val_fraction=0.2")
    train(*words, "logger=[csv,tensorboard]", "callbacks=lr_monitor", "scheduler=cosine")
    [condition] = tmp_path.glob("outputs/runs/*")
    seeds = [pd.read_csv(path) for path in condition.glob("seed=*/history.csv")]
    table = pd.read_csv(condition / "logs/csv/version_0/metrics.csv")
    events = EventAccumulator(str(condition / "logs/tensorboard/version_0")).Reload()
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        means = (seeds[0][name] + seeds[1][name]) / 2
        assert table[name].dropna().tolist() == pytest.approx(means.tolist(), abs=1e-6)
        assert [event.value for event in events.Scalars(name)] == pytest.approx(means.tolist(), abs=1e-6)
    assert table["lr"].dropna().tolist() == pytest.approx([0.005, 0.00375, 0.00125])
    assert "classes: 2" in (condition / "logs/csv/version_0/hparams.yaml").read_text()


def test_stacks_that_train_at_the_same_time_log_into_different_versions(settings, tmp_path):
    config = settings(*SMALL, "logger=[csv,tensorboard]")
    loggers = [build_trainer(config, [], tmp_path).loggers for _ in range(3)]
    assert [[logger.version for logger in both] for both in loggers] == [[0, 0], [1, 1], [2, 2]]
    config["logger"]["csv"]["version"] = "mine"
    assert {build_trainer(config, [], tmp_path).loggers[0].version for _ in range(2)} == {"mine"}


@pytest.mark.integration
@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_loggers_of_extras_run_against_the_real_library(library, tmp_path):
    pytest.importorskip(library)
    words = ("loss=mse,ce", "classes=2,4", "study=s", "trainer.max_epochs=2", "figures=none", f"logger={library}")
    run("src.train", "--multirun", *SMALL, *words, "hydra.launcher.workers=2", folder=tmp_path)
    conditions = sorted(path.name for path in tmp_path.glob("outputs/s/loss=*"))
    if library == "wandb":
        assert len(list(tmp_path.glob("outputs/s/*/wandb/offline-run-*/*.wandb"))) == 4
        return
    with closing(sqlite3.connect(tmp_path / "outputs/mlflow.db")) as database:
        found = database.execute("select runs.name, status from runs join experiments using (experiment_id)").fetchall()
        [experiments] = database.execute("select name from experiments where experiment_id > 0")
    assert sorted(found) == [(name, "FINISHED") for name in conditions]
    assert experiments == ("s",)


@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_a_logger_without_its_library_names_the_extra(library, settings, monkeypatch):
    monkeypatch.setattr("src.config.instantiate.importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=rf"logger\.{library}\._target_.*the extra \[{library}\]"):
        check_settings(settings(*SMALL, f"logger={library}"))


@pytest.mark.parametrize("choice", ["none", "simple", "advanced"])
def test_each_profiler_writes_its_file(choice, settings, tmp_path):
    fit(settings(*SMALL, "trainer.max_epochs=2", f"profiler={choice}"), folder=tmp_path)
    text = "".join(path.read_text() for path in tmp_path.glob("fit-profile.txt"))
    assert ("optimizer_step" in text) == (choice != "none")


@pytest.mark.parametrize(
    ("choice", "steps"),
    [("fast_dev_run", [1]), ("overfit", [3, 6]), ("limit", [2, 4, 6])],  # of 26 mini-batches
)
def test_each_debug_choice_shortens_the_training(choice, steps, train, tmp_path):
    epochs = () if choice == "limit" else ("trainer.max_epochs=2",)
    train("model.hidden=[4]", f"debug={choice}", *epochs, "figures=none", "predictions=false")
    [folder] = tmp_path.glob("outputs/debug/*/seed=0")
    assert pd.read_csv(folder / "history.csv")["step"].tolist() == steps


def test_overfitting_repeats_the_same_samples(settings):
    config = settings("+trainer.overfit_batches=2")
    data = build_components(config, stack(config)).datamodule
    data.setup()
    assert data.train.target.shape == (1, 10)
    whole = build_components(settings(), stack(config)).datamodule
    whole.setup()
    assert torch.equal(data.train.x, whole.train.x[:, :10])


def test_paths_move_the_studies_and_are_the_same_condition(train, tmp_path):
    words = (*SMALL, "trainer.max_epochs=1", "figures=none")
    train(*words)
    train(*words, "paths.output_dir=elsewhere")
    first, second = (read_results(next(tmp_path.glob(f"{root}/runs/*/seed=0"))) for root in ("outputs", "elsewhere"))
    assert first.fingerprint == second.fingerprint


def test_epochs_without_validation_are_empty_in_the_history(train, tmp_path):
    words = (*SMALL, "trainer.max_epochs=5", "data.val_fraction=0.2", "+trainer.check_val_every_n_epoch=2")
    train(*words, "figures=none")
    history = pd.read_csv(next(Path(tmp_path).glob("outputs/runs/*/seed=0/history.csv")))
    assert history["val/loss"].isna().tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            ("seed=[0,1]", "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping"),
            "callbacks.stop._target_",
        ),
        (("callbacks=lr_monitor",), "callbacks.lr_monitor"),
    ],
)
def test_what_would_couple_seeds_or_fail_later_is_refused(words, name, settings):
    mine = ("+callbacks.stop.monitor=train/loss",) if "stop" in name else ()
    with pytest.raises(SettingsError) as caught:
        check_settings(settings(*SMALL, *words, *mine))
    assert [problem.name for problem in caught.value.problems] == [name]
