"""Early stopping and the best epoch of each seed, which is what it is alone, and what Lightning's callback does."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping as OfLightning

from src.config.instantiate import build_callbacks, build_components, build_trainer, check_settings, stack
from src.storage.schema import read_results
from src.training.callbacks.checkpoint import StackCheckpoint
from src.training.fit import fit as fit_seeds
from src.training.module import StackedClassifier

SMALL = ("data.samples_per_class=20", "data.val_fraction=0.2", "model.hidden=[8]", "model.init_std=0.5")
STOPS = (
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=2",
    "optimizer.lr=0.05",
    "trainer.max_epochs=30",
)
BEST = ("callbacks=best_epoch", "optimizer.lr=0.05", "trainer.max_epochs=12")
BOTH = ("callbacks=[early_stopping,best_epoch]", *STOPS[1:])
SEEDS = [0, 1, 2, 3]


def fit(config, seeds, *callbacks):
    """Return the parameters, (S, ...) each, and the curves of each seed."""
    config = config | {"seed": seeds}
    parts = build_components(config, stack(config))
    trainer = build_trainer(config, [*build_callbacks(config), *callbacks])
    histories = fit_seeds(parts.classifier, parts.datamodule, trainer)
    return [parameter.detach().clone() for parameter in parts.network.parameters()], histories


class Weights(L.Callback):
    """Keeps the weights of every epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append([parameter.detach().clone() for parameter in pl_module.parameters()])


RULES = (
    ("scheduler=one_cycle", "scheduler.max_lr=0.05"),
    ("scheduler=plateau", "scheduler.patience=1"),
    ("scheduler=plateau", "scheduler.patience=1", "+trainer.gradient_clip_val=0.5"),
    ("data.class_weights=balanced", "data.priors=[0.7,0.3]", "+trainer.accumulate_grad_batches=2"),
    ("optimizer=sgd", "+optimizer.momentum=0.9", "scheduler=cosine"),
)


@pytest.mark.parametrize("words", [STOPS, BEST, BOTH, *((*STOPS, *rules) for rules in RULES)])
@pytest.mark.parametrize("engine", ["auto", pytest.param("torch", marks=pytest.mark.integration)])
def test_each_seed_is_bitwise_what_it_is_alone(words, engine, settings):
    config = settings(*SMALL, *words, f"engine={engine}")
    check_settings(config)
    together, histories = fit(config, SEEDS)
    lengths = [len(history.history) for history in histories]
    assert (len(set(lengths)) > 1) == (words != BEST)
    for index, seed in enumerate(SEEDS):
        alone, [history] = fit(config, [seed])
        assert all(torch.equal(first[index], second[0]) for first, second in zip(together, alone, strict=True))
        assert history.history.equals(histories[index].history)
        assert (history.step_loss == histories[index].step_loss).all()


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_seed_that_stopped_is_not_trained_on(engine, settings, monkeypatch):
    trained, step = [], StackedClassifier._train

    def counted(self, block):
        trained.append({x.shape[1] for x, _ in block})
        return step(self, block)

    monkeypatch.setattr(StackedClassifier, "_train", counted)
    _, histories = fit(settings(*SMALL, *BOTH, f"engine={engine}"), SEEDS)
    lengths = [len(history.history) for history in histories]
    assert trained == [{sum(length > epoch for length in lengths)} for epoch in range(max(lengths))]
    assert trained[0] == {4} != trained[-1]


def test_a_later_training_without_the_callback_trains_all_seeds(settings):
    config = settings(*SMALL, *STOPS) | {"seed": SEEDS}
    parts = build_components(config, stack(config))
    build_trainer(config, build_callbacks(config)).fit(parts.classifier, datamodule=parts.datamodule)
    assert (parts.classifier.ended > 0).any()
    before = parts.network.head.weight.detach().clone()
    build_trainer(config, []).fit(parts.classifier, datamodule=parts.datamodule)
    changed = (parts.network.head.weight != before).flatten(1).any(1)
    assert changed.tolist() == [True] * 4
    assert parts.classifier.ended is None


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_seed_stops_when_lightnings_callback_would_stop_it(seed, settings):
    config = settings(*SMALL, *STOPS)
    mine, [history] = fit(config, [seed])
    stopping = OfLightning("val/loss", patience=2)
    theirs, [other] = fit(config | {"callbacks": {}}, [seed], stopping)
    assert len(history.history) == len(other.history) == stopping.stopped_epoch + 1 < 30
    assert all(map(torch.equal, mine, theirs))


@pytest.mark.parametrize("words", [BEST, BOTH])
@pytest.mark.parametrize("monitor", ["val/loss", "train/accuracy"])
def test_the_best_epoch_is_that_of_the_curve(words, monitor, settings):
    config = settings(*SMALL, *words, f"callbacks.best_epoch.monitor={monitor}")
    every = Weights()
    trained, histories = fit(config, SEEDS, every)
    for index, history in enumerate(histories):
        curve = history.history[monitor]
        best = curve.argmax() if monitor.endswith("accuracy") else curve.argmin()
        assert all(torch.equal(now[index], then[index]) for now, then in zip(trained, every.epochs[best], strict=True))


def test_a_loss_that_diverges_after_the_stop_does_not_count(settings):
    config = settings(*SMALL, *STOPS)
    _, histories = fit(config, SEEDS)
    first = min(range(4), key=lambda index: len(histories[index].history))
    stopped = len(histories[first].history)

    class Spoil(L.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == stopped:
                trainer.datamodule.train.x[first] = torch.nan

    _, spoilt = fit(config, SEEDS, Spoil())
    assert [history.error for history in spoilt] == [None] * 4


def test_a_killed_training_stops_where_it_would_have(settings, tmp_path, monkeypatch):
    config = settings(*SMALL, *BOTH)
    whole, histories = fit(config, SEEDS)
    lengths = sorted(len(history.history) for history in histories)
    cut = lengths[0] + 1  # after the first seed has stopped
    assert cut < lengths[-1]
    names = [f"seed={seed}" for seed in SEEDS]

    class KilledError(Exception):
        pass

    step = StackedClassifier.training_step

    def dies(self, batch, batch_idx):
        if len(self.curves.step_loss) == cut:
            raise KilledError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(StackedClassifier, "training_step", dies)
        with pytest.raises(KilledError):
            fit(config, SEEDS, StackCheckpoint(tmp_path, names, "", 1))
    part, others = fit(config, SEEDS[::-1][:3], StackCheckpoint(tmp_path, names[::-1][:3], "", 1))
    for index, seed in enumerate(SEEDS[::-1][:3]):
        assert others[index].history.equals(histories[seed].history)
        assert all(torch.equal(first[index], second[seed]) for first, second in zip(part, whole, strict=True))


def test_a_run_leaves_the_curves_until_its_stop(train, tmp_path):
    train(*SMALL, *STOPS, "seed=[0,1,2,3]", "figures=none", "export=none")
    folders = sorted(tmp_path.glob("outputs/runs/*/seed=*"))
    lengths = {len((folder / "history.csv").read_text().splitlines()) - 1 for folder in folders}
    assert len(lengths) > 1
    assert all(read_results(folder).status == "completed" for folder in folders)
