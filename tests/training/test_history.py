import math

import numpy as np
import pytest
import torch

from src.training.history import trainings
from tests.training.stacks import SEEDS, make_classifier


def test_each_seed_gets_its_own_curves() -> None:
    first, second = trainings(make_classifier().curves)
    for seed, training in enumerate((first, second)):
        assert list(training.history.columns) == ["epoch", "step", "train/loss", "train/accuracy"]
        assert training.history["epoch"].tolist() == [1, 2, 3]
        assert training.history["step"].tolist() == [4, 8, 12]
        assert training.history["train/loss"].tolist() == [seed, seed + 0.25, seed + 0.5]
        assert training.history["train/accuracy"].tolist() == [seed / 2, seed / 2 + 0.125, seed / 2 + 0.25]
        steps = [100 * seed + loss for loss in (0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23)]
        assert training.step_loss.tolist() == steps
        assert training.error is None


def test_validation_adds_columns() -> None:
    _, second = trainings(make_classifier(validation=True).curves)
    assert list(second.history.columns)[4:] == ["val/loss", "val/accuracy"]
    assert second.history["val/loss"].tolist() == [11, 11.25, 11.5]
    assert second.history["val/accuracy"].tolist() == [0.5625, 0.6875, 0.8125]


def test_half_precision_losses_are_widened() -> None:
    classifier = make_classifier()
    classifier.curves.step_loss = [loss.to(torch.bfloat16) for loss in classifier.curves.step_loss]
    classifier.curves.train_loss = [loss.to(torch.bfloat16) for loss in classifier.curves.train_loss]
    first, _ = trainings(classifier.curves)
    assert first.step_loss.dtype == np.float32
    assert first.history["train/loss"].tolist() == [0, 0.25, 0.5]


@pytest.mark.parametrize(
    ("value", "epoch", "step", "message"),
    [
        (math.nan, 0, 0, "the loss became NaN in epoch 1, step 1"),
        (math.inf, 0, 3, "the loss became infinite in epoch 1, step 4"),
        (-math.inf, 1, 0, "the loss became infinite in epoch 2, step 5"),
        (math.nan, 2, 3, "the loss became NaN in epoch 3, step 12"),
    ],
)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_divergence_of_one_seed_leaves_the_other_alone(
    seed: int, value: float, epoch: int, step: int, message: str
) -> None:
    classifier = make_classifier()
    classifier.curves.step_loss[epoch][step, seed] = value
    errors = [training.error for training in trainings(classifier.curves)]
    assert errors[seed] == message
    assert errors[1 - seed] is None


def test_divergence_is_reported_at_its_first_step() -> None:
    classifier = make_classifier()
    classifier.curves.step_loss[1][2:, 0] = math.inf
    classifier.curves.step_loss[2][:, 0] = math.nan
    assert trainings(classifier.curves)[0].error == "the loss became infinite in epoch 2, step 7"
