"""Metrics of one trained network: on the samples of each split and, where it is known, over the distribution."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores

from src.data.datamodule import Split
from src.data.protocols import DataSource, Distribution
from src.losses.base import Objective
from src.metrics.population import Population
from src.metrics.predictions import predict

REDUNDANT = ("train/correct", "train/count", "val/correct", "val/count")  # given by the accuracy
ONLY_OF_TRAINING = ("test/decided_classes", "val/decided_classes")
MAX_BLOCK = 2**16  # samples of a split whose outputs are in memory at once


def split_metrics(
    name: str, network: Callable[[Tensor], Tensor], split: Split, objective: Objective, classes: int
) -> dict[str, float]:
    """Return the loss, accuracy, number of correct samples and of decided classes of one network on a split.

    Args:
        name: Name of the split, the prefix of the metrics.
        network: The network (N, D) -> (N, O).
        split: The samples of this seed alone, (1, N, D).
        objective: Loss and decision rule.
        classes: Number of classes C.
    """
    loss, correct, count = 0.0, 0, 0
    decided = torch.zeros(classes, dtype=torch.bool)
    for x, target in zip(split.x.split(MAX_BLOCK, dim=1), split.target.split(MAX_BLOCK, dim=1), strict=True):
        outputs = network(x[0])[None]  # (1, N, O)
        preds = objective.decode(outputs)
        true_positives, *_, support = multiclass_stat_scores(
            preds, target, num_classes=classes, average="micro"
        ).tolist()
        decided[preds.unique()] = True
        correct, count = correct + true_positives, count + support
        loss += (objective.loss(outputs, target).item() - loss) * (support / count)  # running mean
    return {
        f"{name}/loss": loss,
        f"{name}/accuracy": correct / count,
        f"{name}/correct": correct,
        f"{name}/count": count,
        f"{name}/decided_classes": int(decided.sum()),
    }


def compute_metrics(
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    source: DataSource,
    train: Split,
    test: Split,
    val: Split | None = None,
    population: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return all final metrics of one network.

    Args:
        network: The network (N, D) -> (N, O).
        objective: Loss and decision rule.
        source: The source of the data; metrics over the population are computed for a distribution alone.
        train: The training samples of this seed alone, (1, N, D).
        test: The test samples of this seed alone, (1, N, D).
        val: The validation samples of this seed alone, (1, N, D), which may be empty.
        population: The metrics over the population, if the caller has them.
    """
    metrics = split_metrics("train", network, train, objective, source.classes)
    metrics |= split_metrics("test", network, test, objective, source.classes)
    if val is not None and val.target.numel():
        metrics |= split_metrics("val", network, val, objective, source.classes)
    metrics = {name: value for name, value in metrics.items() if name not in (*REDUNDANT, *ONLY_OF_TRAINING)}
    if not isinstance(source, Distribution):
        from src.metrics.class_metrics import class_metrics  # with scikit-learn, whose import takes a second

        metrics |= class_metrics(predict(network(test.x[0]), objective), test.target[0], train.target[0])
    if population is None and (known := Population.of(source, objective)) is not None:
        population = known.metrics(network)
    return metrics | dict(population or {})
