"""Exact metrics over the population of a known distribution."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.data.noisy_cubic import NoisyCubic
from src.data.protocols import DataSource, Distribution, NormalMixture
from src.losses.base import Objective
from src.metrics.changes import Field
from src.metrics.cubature import adaptive_weights
from src.metrics.cubic_lines import CubicLines
from src.metrics.normal_plane import NormalPlane
from src.metrics.predictions import Predictions, predict
from src.utils.normal import linear_scores

RESOLUTION = 512  # of the weighted points of a distribution whose accuracy has no exact integral here
PANELS = 32  # on each vertical line of the noisy cubic with two classes and uniform noise
MAX_GAP = 2e-7  # between two rules for the calibration error in a panel of the plane
MAX_CHANGING = 1 / 8  # share of neighbours on a grid between which the decision of a network may change
MAX_SCORES = 2**22  # of networks that are evaluated together, in memory
MAX_SCORE = 1e300  # so that differences of scores are finite
ROUNDING = 1e-9  # of the scores of the linear discriminant, which are logarithms of odds

Array = NDArray[Any]
Map = Callable[[Tensor], Tensor]
Decide = Callable[[Tensor], tuple[Tensor, Tensor]]


class Domain(Protocol):
    """Where a distribution is, with a grid of points at which a network is evaluated first.

    Attributes:
        classes: Number of classes C.
        smooth: Whether the posterior is continuous.
        shape: The shape of the grid (n1, n2).
        features: Its points (n1 * n2, D).
    """

    classes: int
    smooth: bool
    shape: tuple[int, int]
    features: Tensor

    @property
    def finer(self) -> "Self | None":
        """The same domain with a finer grid, or None."""
        ...

    def points(self, place: Array) -> Tensor:
        """Return coordinates as features: (M, 2) -> (M, D)."""
        ...

    def changing(self, decided: Array) -> Array:
        """Return the share of neighbours on the grid whose decisions differ: (S, n1, n2) -> (S,)."""
        ...

    def accuracies(self, field: Field, scores: Array, decided: Array) -> list[tuple[float, Array]]:
        """Return the accuracy of S classifiers, and the places on the grid where their decisions change (K, 2).

        Args:
            field: Returns scores (M, C) and decisions (M,) of classifiers at places, given these (M, 2) and the index
                of a classifier for each (M,).
            scores: Scores at the points of the grid (S, n1, n2, C).
            decided: Decisions there (S, n1, n2).
        """
        ...


class Integral(NamedTuple):
    """The accuracy of a network, where its decision changes, its outputs (M, O) on the grid of a domain, and this."""

    accuracy: float
    changes: Array
    outputs: Tensor
    domain: Any


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
        linear = linear_discriminant(self._x, self._mass)
        self._references = {"bayes/accuracy": distribution.bayes_accuracy(), "linear/accuracy": self._accuracy(linear)}
        if (ideal := getattr(objective, "ideal", None)) is not None:
            weight = self._mass.sum(1, keepdim=True).clamp_min(torch.finfo(self._mass.dtype).tiny)
            self._references["ideal/accuracy"] = self._accuracy(ideal(self._mass / weight))

    @classmethod
    def of(cls, source: DataSource, objective: Objective) -> "Population | None":
        """Return the population of a source, or None if its distribution is unknown."""
        if isinstance(source, NoisyCubic):
            return LinePopulation(objective, source)
        if not isinstance(source, Distribution):
            return None
        if isinstance(source, NormalMixture) and source.features == 2 and (plane := NormalPlane(source)).fits:
            return PlanePopulation(objective, source, plane)
        return cls(objective, source)

    def metrics(self, network: Map) -> dict[str, float]:
        """Return the metrics of one network, (N, D) -> (N, O), and the references, which all networks share."""
        return self._named(*self._evaluate(network))

    def _named(self, accuracy: float, predictions: Predictions, mass: Tensor) -> dict[str, float]:
        """Return the metrics, given the accuracy and the predictions at weighted points with their masses (M, C)."""
        regret = self._references["bayes/accuracy"] - accuracy
        metrics = {"population/accuracy": accuracy, "population/regret": regret} | self._references
        return metrics | probability_metrics(predictions, mass)

    def stack_metrics(self, networks: Sequence[Map]) -> list[dict[str, float]]:
        """Return the metrics of each of several networks."""
        return [self.metrics(network) for network in networks]

    def _evaluate(self, network: Map) -> tuple[float, Predictions, Tensor]:
        """Return the accuracy of a network, and its predictions at weighted points with their masses (M, C)."""
        predictions = predict(network(self._x), self._objective)
        return self._accuracy(predictions.preds), predictions, self._mass

    def _accuracy(self, preds: Tensor) -> float:
        """Return the mass of the decisions (M,)."""
        return self._mass.gather(1, preds[:, None]).sum().item()


class ExactPopulation(Population, ABC):
    """A population whose accuracy is exact: a domain finds the places where the decision changes.

    A network whose decision changes between many neighbouring points of the domain is evaluated on a finer one.

    Args:
        objective: Loss and decision rule. Without ``scores``, changes of its decision are found by halving intervals.
        distribution: The distribution.
        domain: Its domain.
        linear: The linear discriminant, (M, D) -> (M, C).
    """

    def __init__(self, objective: Objective, distribution: Distribution, domain: Domain, linear: Map) -> None:
        self._objective = objective
        self._domain = domain
        accuracy = self._accuracy_of(linear, lambda scores: (scores, _largest(scores)))
        self._references = {"bayes/accuracy": distribution.bayes_accuracy(), "linear/accuracy": accuracy}
        if (ideal := getattr(objective, "ideal", None)) is not None:
            one_hot = lambda posterior: _one_hot(ideal(posterior), domain.classes)  # noqa: E731
            scores = getattr(objective, "ideal_scores", one_hot) if domain.smooth else one_hot
            self._references["ideal/accuracy"] = self._accuracy_of(
                distribution.posterior, lambda posterior: (scores(posterior), ideal(posterior))
            )

    def stack_metrics(self, networks: Sequence[Map]) -> list[dict[str, float]]:
        """Return the metrics of each of several networks, which are evaluated together as far as memory allows."""
        block = max(1, MAX_SCORES // (len(self._domain.features) * self._domain.classes))
        blocks = [networks[start : start + block] for start in range(0, len(networks), block)]
        return [self._named(*each) for own in blocks for each in self._evaluate_all(own)]

    def _evaluate(self, network: Map) -> tuple[float, Predictions, Tensor]:
        [found] = self._evaluate_all([network])
        return found

    def _evaluate_all(self, networks: Sequence[Map]) -> list[tuple[float, Predictions, Tensor]]:
        found = _integrate(self._domain, networks, self._decide)
        return [(each.accuracy, *self._weighted(network, each)) for network, each in zip(networks, found, strict=True)]

    @abstractmethod
    def _weighted(self, network: Map, integral: Integral) -> tuple[Predictions, Tensor]:
        """Return predictions at weighted points and their masses (M, C)."""

    def _accuracy_of(self, network: Map, decide: Decide) -> float:
        return _integrate(self._domain, [network], decide)[0].accuracy

    def _decide(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (M, C) and decisions (M,) for outputs (M, O)."""
        decided = self._objective.decode(outputs[None])[0]
        scores = getattr(self._objective, "scores", None)
        if scores is None:
            return _one_hot(decided, self._domain.classes), decided
        return scores(outputs.double()[None])[0], decided


class LinePopulation(ExactPopulation):
    """The population of the noisy cubic, whose x are few: integrals over y between the changes of the decision.

    On every vertical line the decision is evaluated at the Gauss-Legendre nodes of some panels, and between neighbours
    where it changes or may do so, until each change is known to about 1e-9 of the mass. The mass on both sides of these
    is exact. Panels are cut at the changes, so that in each the decision is constant, and the other metrics are
    Gauss-Legendre sums. More than two classes, and normal noise, whose lines are longer, need more panels; there are so
    many that the accuracy of none of 800 trained networks was off by more than 1e-6.

    Args:
        objective: Loss and decision rule.
        distribution: The noisy cubic.
    """

    def __init__(self, objective: Objective, distribution: NoisyCubic) -> None:
        more = (distribution.classes > 2) + (distribution.noise == "gaussian")
        lines = CubicLines(distribution, (1 + more) * PANELS)
        linear = linear_discriminant_scores(lines.features, torch.from_numpy(lines.mass))
        super().__init__(objective, distribution, lines, linear)

    def _weighted(self, network: Map, integral: Integral) -> tuple[Predictions, Tensor]:
        lines: CubicLines = integral.domain
        predictions = [predict(integral.outputs, self._objective)]
        if predictions[0].probabilities is None:
            return predictions[0], torch.from_numpy(lines.mass)
        mass, place, part_mass = lines.cut(integral.changes)
        predictions.append(predict(network(lines.points(place)), self._objective))
        preds = torch.cat([each.preds for each in predictions])
        probabilities = torch.cat([each.probabilities for each in predictions if each.probabilities is not None])
        return Predictions(preds, probabilities), torch.from_numpy(np.concatenate([mass, part_mass]))


class PlanePopulation(ExactPopulation):
    """The population of normal distributions of two features: integrals along the boundaries between decisions.

    The decision is evaluated on a grid, and between its corners where it changes or may do so, until each boundary is a
    chain of straight segments to about 1e-8 of the mass. The mass on both sides of these is exact. The other metrics
    are sums over the corners of the grid, with more points where the gap between confidence and true probability is not
    smooth.

    Args:
        objective: Loss and decision rule.
        distribution: The distribution.
        plane: Its plane.
    """

    def __init__(self, objective: Objective, distribution: Distribution, plane: NormalPlane) -> None:
        weights, bias = linear_scores(*plane.moments())
        super().__init__(objective, distribution, plane, lambda x: x @ weights.T + bias)

    def _weighted(self, network: Map, integral: Integral) -> tuple[Predictions, Tensor]:
        plane = integral.domain
        predictions = predict(integral.outputs, self._objective)
        density = [plane.density_at_corners]
        if predictions.probabilities is None:
            return predictions, torch.from_numpy(density[0] / density[0].sum())
        preds, probabilities = [predictions.preds], [predictions.probabilities]

        def gap() -> Array:
            """Return the density at the latest points times the gap there."""
            confidence = probabilities[-1].gather(1, preds[-1][:, None])[:, 0].numpy()
            right = density[-1][np.arange(len(preds[-1])), preds[-1].numpy()]
            return np.abs(confidence * density[-1].sum(1) - right)

        def evaluate(place: Array) -> Array:
            found = predict(network(plane.points(place)), self._objective)
            preds.append(found.preds)
            if found.probabilities is not None:
                probabilities.append(found.probabilities)
            density.append(plane.joint(place))
            return gap()

        weights = adaptive_weights(plane.axes, gap(), evaluate, MAX_GAP)
        mass = weights[:, None] * np.concatenate(density)
        return Predictions(torch.cat(preds), torch.cat(probabilities)), torch.from_numpy(mass / mass.sum())


def _integrate(domain: Domain, networks: Sequence[Map], decide: Decide) -> list[Integral]:
    """Return the accuracy of each network.

    Args:
        domain: The domain to begin with.
        networks: Return the outputs at points, (M, 2) -> (M, O).
        decide: Returns scores (M, C) and decisions (M,) for outputs (M, O).
    """

    def numbers(outputs: Tensor) -> tuple[Array, Array]:
        scores, decided = decide(outputs)
        return scores.double().nan_to_num(0.0, MAX_SCORE, -MAX_SCORE).numpy(), decided.numpy()

    def field(place: Array, owner: Array) -> tuple[Array, Array]:
        x = domain.points(place)
        if len(few) == 1:
            return numbers(networks[few[0]](x))
        order = np.argsort(owner, kind="stable")
        parts = x[order].split(np.bincount(owner, minlength=len(few)).tolist())
        scores, decided = numbers(
            torch.cat([networks[index](x) for index, x in zip(few, parts, strict=True) if len(x)])
        )
        back = np.argsort(order)
        return scores[back], decided[back]

    outputs = [network(domain.features) for network in networks]
    scores, decided = map(np.stack, zip(*map(numbers, outputs), strict=True))
    decided = decided.reshape(-1, *domain.shape)
    many = np.flatnonzero(domain.changing(decided) > MAX_CHANGING).tolist()
    finer = domain.finer if many else None
    few, found = list(range(len(networks))), {}
    if finer is not None:
        found = {index: _integrate(finer, [networks[index]], decide)[0] for index in many}  # memory of one alone
        few = [index for index in few if index not in found]
        scores, decided = scores[few], decided[few]
    if few:
        integrals = domain.accuracies(field, scores.reshape(*decided.shape, -1), decided)
        found |= {index: Integral(*each, outputs[index], domain) for index, each in zip(few, integrals, strict=True)}
    return [found[index] for index in range(len(networks))]


def _one_hot(decided: Tensor, classes: int) -> Tensor:
    """Return scores of 1 for the decision and 0 for all else: (M,) -> (M, C)."""
    return torch.nn.functional.one_hot(decided, classes).double()


def probability_metrics(predictions: Predictions, mass: Tensor) -> dict[str, float]:
    """Return the metrics of the probabilities, if any, over weighted points with the joint masses (M, C)."""
    if (q := predictions.probabilities) is None:
        return {}
    weight = torch.stack(mass.unbind(1)).sum(0)[:, None]
    posterior = mass / weight.clamp_min(torch.finfo(mass.dtype).tiny)
    gap = (q - posterior).gather(1, predictions.preds[:, None]).abs()
    return {
        "population/excess_ce": torch.xlogy(mass, posterior / q.clamp_min(torch.finfo(q.dtype).tiny)).sum().item(),
        "population/calibration_error": (weight * gap).sum().item(),
    }


def linear_discriminant(x: Tensor, mass: Tensor) -> Tensor:
    """Return the decisions (M,) of the linear discriminant at the points that give its moments."""
    return _largest(linear_discriminant_scores(x, mass)(x))


def linear_discriminant_scores(x: Tensor, mass: Tensor) -> Map:
    r"""Return the scores of the linear discriminant whose moments are those of the distribution.

    With the class means mu_k, the priors pi_k and the pooled covariance Sigma of the weighted points, class k scores
    x' Sigma^-1 mu_k - mu_k' Sigma^-1 mu_k / 2 + ln pi_k: the limit of linear discriminant analysis with ever more data.

    Args:
        x: Points (M, D).
        mass: Joint mass (M, C) of points and classes, which sums to 1.

    Returns:
        The scores at points, (N, D) -> (N, C).
    """
    prior = mass.sum(0)  # (C,)
    mean = mass.T @ x / prior[:, None]  # (C, D)
    covariance = x.T @ (mass.sum(1, keepdim=True) * x) - mean.T @ (prior[:, None] * mean)  # (D, D)
    weight, bias = linear_scores(prior, mean, covariance)  # (C, D), (C,)
    return lambda x: x @ weight.T + bias


def _largest(scores: Tensor) -> Tensor:
    """Return the class of the largest score, the first of those that differ by rounding: (N, C) -> (N,)."""
    return (scores >= scores.amax(1, keepdim=True) - ROUNDING).int().argmax(1)
