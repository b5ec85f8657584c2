"""The weights of one seed over the epochs, which are those of shorter trainings."""

import torch

from src.config.instantiate import build_components, build_trainer, stack
from src.training.callbacks.snapshots import MAX_SNAPSHOTS, WeightSnapshots

WORDS = ("data.samples_per_class=20", "model.hidden=[6]", "model.init_std=0.5", "seed=[3,7]")


def fit(config, epochs, *callbacks):
    config = config | {"trainer": config["trainer"] | {"max_epochs": epochs}}
    parts = build_components(config, stack(config))
    build_trainer(config, list(callbacks)).fit(parts.classifier, datamodule=parts.datamodule)
    return parts.network.state_dict()


def test_snapshots_are_the_ends_of_shorter_trainings_and_change_nothing(settings):
    config = settings(*WORDS)
    snapshots = WeightSnapshots(1, 3)
    watched = fit(config, 3, snapshots)
    assert list(snapshots.states) == [0, 1, 2, 3]
    plain = fit(config, 3)
    assert all(torch.equal(value, plain[name]) for name, value in watched.items())
    for epochs in (1, 2, 3):
        shorter, seen = fit(config, epochs), snapshots.states[epochs]
        assert all(torch.equal(value[1:], seen[name]) for name, value in shorter.items())


def test_there_are_few_snapshots_of_a_long_training():
    epochs = WeightSnapshots(0, 100_000).epochs
    assert {1, 2, 3, 100_000} <= epochs
    assert len(epochs) + 1 <= MAX_SNAPSHOTS
