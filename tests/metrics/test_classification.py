import json

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_squared_error

from src.data.datamodule import Split
from src.data.protocols import Distribution
from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError
from src.losses.mse_sigmoid import SigmoidMeanSquaredError
from src.metrics import classification
from src.metrics.classification import compute_metrics, split_metrics
from tests.metrics.references import (
    Floats,
    every_objective,
    generators,
    make_distribution,
    make_network,
    reference_preds,
    reference_probabilities,
)


def make_split(distribution: Distribution, seed: int, size: int) -> Split:
    x, target = distribution.sample(generators(seed))
    return Split(x[:, -size:].float(), target[:, -size:])


def reference_loss(objective: Objective, outputs: Floats, target: Floats) -> float:
    classes = range(outputs.shape[1] if outputs.shape[1] > 1 else 2)
    q = reference_probabilities(objective, outputs)
    if isinstance(objective, SoftmaxCrossEntropy):
        q = reference_probabilities(CrossEntropy(len(classes)), q)
    if isinstance(objective, CrossEntropy | BinaryCrossEntropy):
        return float(log_loss(target, q, labels=list(classes)))
    if isinstance(objective, SigmoidMeanSquaredError):
        return float(brier_score_loss(target, q[:, 1]))
    expected = target[:, None] if isinstance(objective, MeanSquaredError) else np.eye(outputs.shape[1])[target]
    return float(mean_squared_error(expected, outputs))


@every_objective
def test_split_metrics_agree_with_scikit_learn(objective: Objective, classes: int) -> None:
    distribution = make_distribution(classes)
    train, test = make_split(distribution, 0, 64), make_split(distribution, 1, 32)
    network = make_network(objective, scale=1.0)
    metrics = compute_metrics(network, objective, distribution, train, test)
    for name, split in (("train", train), ("test", test)):
        outputs, target = network(split.x[0]).double().numpy(), split.target[0].numpy()
        preds = reference_preds(objective, outputs, classes)
        assert metrics[f"{name}/loss"] == pytest.approx(reference_loss(objective, outputs, target), rel=1e-5)
        assert metrics[f"{name}/accuracy"] == pytest.approx(accuracy_score(target, preds), rel=1e-6)
    assert metrics["test/correct"] == accuracy_score(target, preds, normalize=False)
    assert metrics["test/count"] == 32
    train_preds = reference_preds(objective, network(train.x[0]).double().numpy(), classes)
    assert metrics["train/decided_classes"] == len(set(train_preds))


def test_accuracy_of_the_slides_is_exact() -> None:
    preds, target = torch.zeros(32, dtype=torch.long), torch.tensor([0] * 23 + [1] * 9)
    split = Split(torch.nn.functional.one_hot(preds, 2).float()[None], target[None])
    assert split_metrics("test", lambda outputs: outputs, split, OneHotMeanSquaredError(2), 2) == {
        "test/loss": 9 / 32,
        "test/accuracy": 0.71875,
        "test/correct": 23,
        "test/count": 32,
        "test/decided_classes": 1,
    }


@every_objective
def test_a_split_of_several_blocks_has_the_metrics_of_one(
    objective: Objective, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = make_split(make_distribution(classes), 0, 64)
    network = make_network(objective)
    whole = split_metrics("train", network, split, objective, classes)
    assert (
        whole["train/loss"] == objective.loss(network(split.x[0])[None], split.target).item()
    )  # of one block: bitwise
    monkeypatch.setattr(classification, "MAX_BLOCK", 15)  # four blocks, and one of four samples
    assert split_metrics("train", network, split, objective, classes) == pytest.approx(whole, rel=1e-6)


@every_objective
def test_there_is_every_metric_as_a_plain_number(objective: Objective, classes: int) -> None:
    distribution = make_distribution(classes, samples_per_class=10)
    network = make_network(objective)
    metrics = compute_metrics(
        network, objective, distribution, make_split(distribution, 0, 8), make_split(distribution, 1, 5)
    )
    names = ["train/loss", "train/accuracy", "train/decided_classes", "test/loss", "test/accuracy"]
    names += ["test/correct", "test/count"]
    names += ["population/accuracy", "population/regret", "bayes/accuracy", "linear/accuracy"]
    names += ["ideal/accuracy"] * hasattr(objective, "ideal")
    if objective.probabilities(network(torch.zeros(5, 2))[None]) is not None:
        names += ["population/excess_ce", "population/calibration_error"]
    assert list(metrics) == names
    assert {type(value) for value in metrics.values()} == {int, float}
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
