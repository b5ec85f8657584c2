"""The metrics of one trained network: on its training and test points, and exactly, over the population."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_stat_scores

from src.data.datamodule import Split
from src.data.law import Law, Source
from src.gaussian import linear_scores
from src.losses.objective import Objective

_COUNTS = ("train/correct", "train/count", "val/correct", "val/count")  # which their accuracy says
RESOLUTION = 512  # cells in y for each x; the default law's population accuracy is then good to about 1e-4
PART = 2**16  # points of a split whose outputs are held together
BLOCK = 8192  # points that pass through a network together; more would only pass through slower memory


@dataclass(frozen=True)
class Predictions:
    """What a network says of some points: preds (N,), int64, and probabilities (N, C), or None."""

    preds: Tensor
    probabilities: Tensor | None


def seed_network(network: nn.Module, index: int) -> Callable[[Tensor], Tensor]:
    """Return one seed of a stacked network as a function (N, D) -> (N, O) on the CPU."""
    state = {name: value[index : index + 1].cpu() for name, value in network.state_dict().items()}
    dtype = next(iter(state.values())).dtype
    network.eval()  # dropout and the like are of the training

    def outputs(x: Tensor) -> Tensor:
        with torch.no_grad():
            return by_blocks(lambda block: torch.func.functional_call(network, state, (block,)), x.to(dtype)[None])[0]

    return outputs


def by_blocks(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pass points through a network some at a time, as its hidden layers are wider: (S, N, D) -> (S, N, O)."""
    return torch.cat([network(block) for block in x.split(BLOCK, dim=1)], dim=1)


def predict(outputs: Tensor, objective: Objective) -> Predictions:
    """Apply the decision rule to the outputs (N, O) of one network."""
    stacked = outputs[None].double()  # a float32 probability underflows at logit gaps of 100, a float64 one at 700
    probabilities = objective.probabilities(stacked)
    return Predictions(objective.decode(outputs[None])[0], None if probabilities is None else probabilities[0])


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


class Population:
    r"""A law as weighted points, over which networks are measured by quadrature, not by sampling.

    With m the joint mass of a point and a class, p the posterior and q the network's probabilities:
    ``population/accuracy`` is \sum m(x, decision(x)); ``population/regret`` the Bayes accuracy less that;
    ``linear/accuracy`` that of the linear discriminant of infinite data, a reference beside ``bayes/accuracy``;
    ``ideal/accuracy``, for an objective that has ``ideal``, that of its decision rule on the minimiser of its expected
    loss: what the rule costs is the gap to ``bayes/accuracy``, what training costs the gap below;
    ``population/excess_ce`` the cross-entropy of q in nats above the least possible one, E[KL(p || q)];
    ``population/calibration_error`` the mean of |q(decision) - p(decision)|, the gap between the confidence and the
    true probability of being right.

    Args:
        objective: Loss and decision rule.
        law: The distribution of the data.
    """

    def __init__(self, objective: Objective, law: Law) -> None:
        self._objective = objective
        self._x, self._mass = law.population(RESOLUTION)  # (M, D), (M, C)
        self._weight = self._mass.sum(1, keepdim=True)  # (M, 1)
        self._posterior = self._mass / self._weight.clamp_min(torch.finfo(self._mass.dtype).tiny)  # (M, C)
        linear = linear_discriminant(self._x, self._mass)
        self._references = {"bayes/accuracy": law.bayes_accuracy(), "linear/accuracy": self._accuracy(linear)}
        if (ideal := getattr(objective, "ideal", None)) is not None:
            self._references["ideal/accuracy"] = self._accuracy(ideal(self._posterior))

    def metrics(self, network: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the metrics of one network, (N, D) -> (N, O), and the references, which are those of all networks."""
        predictions = predict(network(self._x), self._objective)
        accuracy = self._accuracy(predictions.preds)
        regret = self._references["bayes/accuracy"] - accuracy
        metrics = {"population/accuracy": accuracy, "population/regret": regret} | self._references
        if (q := predictions.probabilities) is not None:
            floor = torch.finfo(q.dtype).tiny
            excess = torch.xlogy(self._mass, self._posterior / q.clamp_min(floor)).sum().item()
            gap = (q - self._posterior).gather(1, predictions.preds[:, None]).abs()
            metrics |= {
                "population/excess_ce": excess,
                "population/calibration_error": (self._weight * gap).sum().item(),
            }
        return metrics

    def _accuracy(self, preds: Tensor) -> float:
        """Return the mass of the decisions (M,)."""
        return self._mass.gather(1, preds[:, None]).sum().item()


def linear_discriminant(x: Tensor, mass: Tensor) -> Tensor:
    r"""Return the decisions of the linear discriminant whose moments are those of the law.

    With the class means mu_k, the priors pi_k and the pooled covariance Sigma of the weighted points, class k scores
    x' Sigma^-1 mu_k - mu_k' Sigma^-1 mu_k / 2 + ln pi_k: what linear discriminant analysis tends to with more data.

    Args:
        x: Points (M, D).
        mass: Joint mass (M, C) of points and classes, which sums to 1.

    Returns:
        The label of each point, (M,).
    """
    prior = mass.sum(0)  # (C,)
    mean = mass.T @ x / prior[:, None]  # (C, D)
    covariance = x.T @ (mass.sum(1, keepdim=True) * x) - mean.T @ (prior[:, None] * mean)  # (D, D)
    weight, bias = linear_scores(prior, mean, covariance)  # (C, D), (C,)
    return (x @ weight.T + bias).argmax(1)


def evaluate(
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    law: Source,
    train: Split,
    test: Split,
    val: Split | None = None,
    population: Population | None = None,
) -> dict[str, float]:
    """Return all final metrics of one network.

    Args:
        network: The network (N, D) -> (N, O).
        objective: Loss and decision rule.
        law: The distribution of the data; metrics of the population are left out where it is not known.
        train: The training points of this seed alone, (1, N, D).
        test: The test points of this seed alone, (1, N, D).
        val: The validation points of this seed alone, (1, N, D), of which there may be none.
        population: The population of the law, from whoever evaluates more networks than one.
    """
    metrics = split_metrics("train", network, train, objective, law.classes)
    metrics |= split_metrics("test", network, test, objective, law.classes)
    if val is not None and val.target.numel():
        metrics |= split_metrics("val", network, val, objective, law.classes)
    metrics = {name: value for name, value in metrics.items() if name not in _COUNTS}
    if isinstance(law, Law):
        metrics |= (population or Population(objective, law)).metrics(network)
    return metrics
