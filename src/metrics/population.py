"""Exact metrics over the population of a known distribution."""

from collections.abc import Callable

import torch
from torch import Tensor

from src.data.protocols import DataSource, Distribution
from src.losses.base import Objective
from src.metrics.predictions import predict
from src.utils.normal import linear_scores

RESOLUTION = 512  # cells in y for each x; the error of the default distribution's population accuracy is about 1e-4


class Population:
    r"""A distribution as weighted points, over which metrics are computed by quadrature rather than by sampling.

    With m the joint mass of a point and a class, p the posterior and q the network's probabilities:
    ``population/accuracy`` is \sum m(x, decision(x)); ``population/regret`` the Bayes accuracy less that;
    ``linear/accuracy`` that of the linear discriminant on infinite data, a reference beside ``bayes/accuracy``;
    ``ideal/accuracy``, for an objective that has ``ideal``, that of its decision rule on the minimiser of its expected
    loss, so that its gap to ``bayes/accuracy`` is the cost of the rule and the gap below it that of training;
    ``population/excess_ce`` the cross-entropy of q in nats above the least possible one, E[KL(p || q)];
    ``population/calibration_error`` the mean of |q(decision) - p(decision)|, the gap between the confidence and the
    true probability of being right.

    Args:
        objective: Loss and decision rule.
        distribution: The distribution of the data.
    """

    def __init__(self, objective: Objective, distribution: Distribution) -> None:
        self._objective = objective
        self._x, self._mass = distribution.population(RESOLUTION)  # (M, D), (M, C)
        self._weight = self._mass.sum(1, keepdim=True)  # (M, 1)
        self._posterior = self._mass / self._weight.clamp_min(torch.finfo(self._mass.dtype).tiny)  # (M, C)
        linear = linear_discriminant(self._x, self._mass)
        self._references = {"bayes/accuracy": distribution.bayes_accuracy(), "linear/accuracy": self._accuracy(linear)}
        if (ideal := getattr(objective, "ideal", None)) is not None:
            self._references["ideal/accuracy"] = self._accuracy(ideal(self._posterior))

    @classmethod
    def of(cls, source: DataSource, objective: Objective) -> "Population | None":
        """Return the population of a source, or None if its distribution is unknown."""
        return cls(objective, source) if isinstance(source, Distribution) else None

    def metrics(self, network: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the metrics of one network, (N, D) -> (N, O), and the references, which all networks share."""
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
    r"""Return the decisions of the linear discriminant whose moments are those of the distribution.

    With the class means mu_k, the priors pi_k and the pooled covariance Sigma of the weighted points, class k scores
    x' Sigma^-1 mu_k - mu_k' Sigma^-1 mu_k / 2 + ln pi_k: the limit of linear discriminant analysis with ever more data.

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
