"""The metrics of one trained network: on its training and test points, and exactly, over the population."""

from collections.abc import Callable

from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores

from src.data.datamodule import Split
from src.data.protocols import DataSource, Distribution
from src.losses.base import Objective
from src.metrics.population import Population

_COUNTS = ("train/correct", "train/count", "val/correct", "val/count")  # which their accuracy says
PART = 2**16  # points of a split whose outputs are held together


def split_metrics(
    name: str, network: Callable[[Tensor], Tensor], split: Split, objective: Objective, classes: int
) -> dict[str, float]:
    """Return the loss, the accuracy and the number of correct points of one network on a split, part by part of it.

    Args:
        name: Name of the split, the prefix of the metrics.
        network: The network (N, D) -> (N, O).
        split: The points of this seed alone, (1, N, D).
        objective: Loss and decision rule.
        classes: Number of classes C.
    """
    loss, correct, count = 0.0, 0, 0
    for x, target in zip(split.x.split(PART, dim=1), split.target.split(PART, dim=1), strict=True):
        outputs = network(x[0])[None]  # (1, N, O)
        preds = objective.decode(outputs)
        right, *_, points = multiclass_stat_scores(preds, target, num_classes=classes, average="micro").tolist()
        correct, count = correct + right, count + points
        loss += (objective.loss(outputs, target).item() - loss) * (points / count)
    return {
        f"{name}/loss": loss,
        f"{name}/accuracy": correct / count,
        f"{name}/correct": correct,
        f"{name}/count": count,
    }


def evaluate(
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    distribution: DataSource,
    train: Split,
    test: Split,
    val: Split | None = None,
    population: Population | None = None,
) -> dict[str, float]:
    """Return all final metrics of one network.

    Args:
        network: The network (N, D) -> (N, O).
        objective: Loss and decision rule.
        distribution: The distribution of the data; metrics of the population are left out where it is not known.
        train: The training points of this seed alone, (1, N, D).
        test: The test points of this seed alone, (1, N, D).
        val: The validation points of this seed alone, (1, N, D), of which there may be none.
        population: The population of the distribution, from whoever evaluates more networks than one.
    """
    metrics = split_metrics("train", network, train, objective, distribution.classes)
    metrics |= split_metrics("test", network, test, objective, distribution.classes)
    if val is not None and val.target.numel():
        metrics |= split_metrics("val", network, val, objective, distribution.classes)
    metrics = {name: value for name, value in metrics.items() if name not in _COUNTS}
    if isinstance(distribution, Distribution):
        metrics |= (population or Population(objective, distribution)).metrics(network)
    return metrics
