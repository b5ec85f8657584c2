"""Exact metrics over the population of a known distribution."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from torch import Tensor

from src.data.noisy_cubic import NoisyCubic
from src.data.protocols import DataSource, Distribution, NormalMixture
from src.losses.base import Objective
from src.metrics.boundary import trace
from src.metrics.cubature import adaptive_weights
from src.metrics.normal_plane import NormalPlane
from src.metrics.predictions import Predictions, predict
from src.utils.normal import linear_scores

RESOLUTION = 512  # of the weighted points of a distribution whose accuracy has no exact integral here
PANELS = 32  # on each vertical line of the noisy cubic
MAX_PANELS = 1024
NODES = 3  # Gauss-Legendre nodes of each panel
LEGENDRE = leggauss(NODES)  # nodes and weights on [-1, 1]
CUTS = 4  # parts of an interval in which the decision changes,
ROUNDS = 7  # each of which is cut again if it does there
MAX_LINES = 512
TOLERANCE = 1e-8  # of the mass of one segment of a boundary
MAX_GAP = 2e-7  # between two rules for the calibration error in a panel of the plane
MAX_CHANGING = 1 / 8  # share of the edges of a grid on which the decision of a network may change
MAX_SCORE = 1e300  # so that differences of scores are finite
ROUNDING = 1e-9  # of the scores of the linear discriminant, which are logarithms of odds

Array = NDArray[Any]
Map = Callable[[Tensor], Tensor]
Decide = Callable[[Tensor], tuple[Tensor, Tensor]]


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


class LinePopulation(Population):
    """The population of the noisy cubic, whose x are few: integrals over y between the changes of the decision.

    On every vertical line the decision is evaluated at the Gauss-Legendre nodes of some panels. An interval of
    neighbouring nodes in which it changes, or may change and change back, is cut again and again, until every change
    is known to about 1e-6 of the range of y. Panels are cut at the changes, so that in each the decision is constant:
    the mass of each class is exact there, and the other metrics are Gauss-Legendre sums. Where the decision changes in
    many intervals, it is evaluated again with twice the panels.

    Args:
        objective: Loss and decision rule.
        distribution: The noisy cubic. A grid of more than ``MAX_LINES`` values of x is thinned to as many.
    """

    def __init__(self, objective: Objective, distribution: NoisyCubic) -> None:
        self._objective = objective
        self._distribution = distribution
        self._x1 = distribution.lines(MAX_LINES)  # (lines,)
        self._curve = distribution.curve(self._x1)  # (lines,)
        self._panels = cache(self._make_panels)
        *_, x, mass = self._panels(PANELS)
        self._references = {
            "bayes/accuracy": distribution.bayes_accuracy(),
            "linear/accuracy": self._integrate(linear_discriminant_scores(x, mass), _largest)[0],
        }
        if (ideal := getattr(objective, "ideal", None)) is not None:
            self._references["ideal/accuracy"] = self._integrate(distribution.posterior, ideal)[0]

    def _evaluate(self, network: Map) -> tuple[float, Predictions, Tensor]:
        accuracy, outputs, mass = self._integrate(network, lambda outputs: self._objective.decode(outputs[None])[0])
        return accuracy, predict(outputs, self._objective), mass

    def _integrate(self, network: Map, decode: Map, count: int = PANELS) -> tuple[float, Tensor, Tensor]:
        """Return the accuracy of the decisions, and the outputs (M, O) and masses (M, C) of weighted points.

        Args:
            network: Returns the outputs at points, (M, 2) -> (M, O).
            decode: Returns the decisions for outputs, (M, O) -> (M,).
            count: Panels on each line.
        """
        line, low, high, x, mass = self._panels(count)
        outputs = network(x)
        preds = decode(outputs)
        changes, at = self._changes(network, decode, low, high, outputs)
        if len(at) > len(preds) / 8 and count < MAX_PANELS:
            return self._integrate(network, decode, 2 * count)
        panels = len(low) // len(self._x1)
        cut = torch.zeros(len(low), dtype=torch.bool)
        edges = torch.cat([low[:panels], high[panels - 1 : panels]])
        cut[changes * panels + (torch.bucketize(at, edges, right=True) - 1).clamp(0, panels - 1)] = True
        whole = cut.logical_not().repeat_interleave(NODES)
        pieces = _pieces(line[cut], low[cut], high[cut], changes, at)
        part_x, part_mass = self._nodes(*pieces)
        part_outputs = network(part_x)
        decided = torch.cat([preds.view(-1, NODES)[~cut], decode(part_outputs).view(-1, NODES)])
        bounds = [torch.cat([ends[~cut], piece]) for ends, piece in zip((low, high), pieces[1:], strict=True)]
        below, above = (self._distribution.mass_below(bound) for bound in bounds)
        below[bounds[0] <= edges[0]] = 0  # the outer panels take the tails
        above[bounds[1] >= edges[-1]] = self._distribution.mass_below(torch.tensor(torch.inf))
        accuracy = (above - below).gather(1, decided[:, NODES // 2, None]).sum().item() / len(self._x1)
        return accuracy, torch.cat([outputs[whole], part_outputs]), torch.cat([mass[whole], part_mass])

    def _changes(self, network: Map, decode: Map, low: Tensor, high: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the line and the place of every change of the decision, given the outputs at the panels' nodes."""
        lines = len(self._x1)
        ends = torch.stack([low.view(lines, -1)[:, 0], high.view(lines, -1)[:, -1]], dim=1)  # (lines, 2)
        outer = network(self._points(torch.arange(lines)[:, None].expand(-1, 2), ends)).view(lines, 2, -1)
        inner = _gauss_legendre(low, high)[0].view(lines, -1)
        place = torch.cat([ends[:, :1], inner, ends[:, 1:]], dim=1)  # (lines, points)
        outputs = torch.cat([outer[:, :1], outputs.view(lines, -1, outer.shape[2]), outer[:, 1:]], dim=1)
        decided = decode(outputs.flatten(0, 1)).view(place.shape)
        changed = (decided[:, 1:] != decided[:, :-1]) | _may_change_twice(place, outputs, decided, decode)
        row, start = changed.nonzero(as_tuple=True)
        left, right = place[row, start], place[row, start + 1]
        first, last = decided[row, start], decided[row, start + 1]
        fractions = torch.linspace(0, 1, CUTS + 1, dtype=torch.float64)
        for _ in range(ROUNDS):
            if len(row) > changed.numel():
                break  # the decisions are noise, and every cut finds more changes
            place = left[:, None] + (right - left)[:, None] * fractions
            points = self._points(row[:, None].expand(-1, CUTS - 1), place[:, 1:-1])
            inner = decode(network(points)).view(-1, CUTS - 1)
            decided = torch.cat([first[:, None], inner, last[:, None]], dim=1)
            bracket, start = (decided[:, 1:] != decided[:, :-1]).nonzero(as_tuple=True)
            row, left, right = row[bracket], place[bracket, start], place[bracket, start + 1]
            first, last = decided[bracket, start], decided[bracket, start + 1]
        return row, (left + right) / 2

    def _make_panels(self, count: int) -> tuple[Tensor, ...]:
        """Return line, low and high end in y around the cubic of the panels, in order, with their points and masses."""
        edges, lines = self._distribution.cell_edges(count), len(self._x1)
        line = torch.arange(lines).repeat_interleave(len(edges) - 1)
        low, high = edges[:-1].repeat(lines), edges[1:].repeat(lines)
        return line, low, high, *self._nodes(line, low, high)

    def _nodes(self, line: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points (M, 2) and masses (M, C) of the Gauss-Legendre nodes of some panels."""
        noise, weight = _gauss_legendre(low, high)
        mass = weight[..., None] * self._distribution.joint_density(noise) / len(self._x1)
        return self._points(line[:, None].expand_as(noise), noise), mass.flatten(0, 1)

    def _points(self, line: Tensor, noise: Tensor) -> Tensor:
        """Return the points on some lines at distances from the cubic: (...), (...) -> (M, 2)."""
        return torch.stack([self._x1[line], self._curve[line] + noise], dim=-1).view(-1, 2)


class PlanePopulation(Population):
    """The population of normal distributions of two features: integrals along the boundaries between decisions.

    The decision is evaluated on a grid, and between its corners where it changes or may do so, until each boundary is a
    chain of straight segments to about 1e-8 of the mass. The mass on both sides of these is exact. The other metrics
    are sums over the corners of the grid. A network whose decision changes on many edges of the grid is evaluated on a
    finer one.

    Args:
        objective: Loss and decision rule. Without ``scores``, changes of its decision are found by halving intervals.
        distribution: The distribution.
        plane: Its plane.
    """

    def __init__(self, objective: Objective, distribution: Distribution, plane: NormalPlane) -> None:
        self._objective = objective
        self._plane = plane
        weights, bias = linear_scores(*plane.moments())
        linear = self._accuracies([lambda x: x @ weights.T + bias], lambda scores: (scores, _largest(scores)))
        self._references = {"bayes/accuracy": distribution.bayes_accuracy(), "linear/accuracy": linear[0]}
        if (ideal := getattr(objective, "ideal", None)) is not None:
            classes = plane.classes
            scores = getattr(objective, "ideal_scores", lambda posterior: _one_hot(ideal(posterior), classes))
            found = self._accuracies([distribution.posterior], lambda posterior: (scores(posterior), ideal(posterior)))
            self._references["ideal/accuracy"] = found[0]

    def stack_metrics(self, networks: Sequence[Map]) -> list[dict[str, float]]:
        """Return the metrics of each of several networks, which are evaluated together."""
        return [self._named(*each) for each in self._evaluate_all(networks)]

    def _evaluate(self, network: Map) -> tuple[float, Predictions, Tensor]:
        [found] = self._evaluate_all([network])
        return found

    def _evaluate_all(self, networks: Sequence[Map]) -> list[tuple[float, Predictions, Tensor]]:
        found = _integrate(self._plane, networks, self._decide)
        return [
            (accuracy, *self._weighted(network, outputs, plane))
            for network, (accuracy, outputs, plane) in zip(networks, found, strict=True)
        ]

    def _weighted(self, network: Map, outputs: Tensor, plane: NormalPlane) -> tuple[Predictions, Tensor]:
        """Return predictions at weighted points and their masses (M, C), given the outputs at the corners of the grid.

        There are more points where the gap between confidence and true probability is not smooth.
        """
        predictions = predict(outputs, self._objective)
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

    def _accuracies(self, networks: Sequence[Map], decide: Decide) -> list[float]:
        return [accuracy for accuracy, *_ in _integrate(self._plane, networks, decide)]

    def _decide(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (M, C) and decisions (M,) for outputs (M, O)."""
        decided = self._objective.decode(outputs[None])[0]
        scores = getattr(self._objective, "scores", None)
        if scores is None:
            return _one_hot(decided, self._plane.classes), decided
        return scores(outputs.double()[None])[0], decided


def _integrate(plane: NormalPlane, networks: Sequence[Map], decide: Decide) -> list[tuple[float, Tensor, NormalPlane]]:
    """Return the accuracy of each network, its outputs (M, O) at the corners of a grid, and the plane of the grid.

    Args:
        plane: The plane with a grid to begin with.
        networks: Return the outputs at points, (M, 2) -> (M, O).
        decide: Returns scores (M, C) and decisions (M,) for outputs (M, O).
    """

    def numbers(outputs: Tensor) -> tuple[Array, Array]:
        scores, decided = decide(outputs)
        return scores.double().nan_to_num(0.0, MAX_SCORE, -MAX_SCORE).numpy(), decided.numpy()

    def field(place: Array, owner: Array) -> tuple[Array, Array]:
        x = plane.points(place)
        if len(networks) == 1:
            return numbers(networks[0](x))
        order = np.argsort(owner, kind="stable")
        parts = x[order].split(np.bincount(owner, minlength=len(networks)).tolist())
        scores, decided = numbers(torch.cat([network(x) for network, x in zip(networks, parts, strict=True) if len(x)]))
        back = np.argsort(order)
        return scores[back], decided[back]

    outputs = [network(plane.features) for network in networks]
    scores, decided = map(np.stack, zip(*map(numbers, outputs), strict=True))
    shape = (len(networks), *map(len, plane.axes))
    scores, decided = scores.reshape(*shape, -1), decided.reshape(shape)
    many = np.flatnonzero(_changing(decided) > MAX_CHANGING).tolist()
    if many and plane.finer is not None:
        few = [index for index in range(len(networks)) if index not in many]
        found = {index: _integrate(plane.finer, [networks[index]], decide)[0] for index in many}  # memory of one alone
        if few:
            found |= dict(zip(few, _integrate(plane, [networks[index] for index in few], decide), strict=True))
        return [found[index] for index in range(len(networks))]
    segments, edges, changes = trace(field, plane.density, plane.axes, scores, decided, TOLERANCE)
    return [
        (plane.accuracy(segments.of(owner), edges, changes.of(owner, edges), decided[owner]), outputs[owner], plane)
        for owner in range(len(networks))
    ]


def _changing(decided: Array) -> Array:
    """Return the share of the edges of a grid on which decisions change: (S, n1, n2) -> (S,)."""
    across, up = decided[:, 1:] != decided[:, :-1], decided[:, :, 1:] != decided[:, :, :-1]
    return (across.mean((1, 2)) + up.mean((1, 2))) / 2


def _one_hot(decided: Tensor, classes: int) -> Tensor:
    """Return scores of 1 for the decision and 0 for all else: (M,) -> (M, C)."""
    return torch.nn.functional.one_hot(decided, classes).double()


def probability_metrics(predictions: Predictions, mass: Tensor) -> dict[str, float]:
    """Return the metrics of the probabilities, if any, over weighted points with the joint masses (M, C)."""
    if (q := predictions.probabilities) is None:
        return {}
    weight = mass.sum(1, keepdim=True)
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


def _may_change_twice(place: Tensor, outputs: Tensor, decided: Tensor, decode: Map) -> Tensor:
    """Return in which intervals between points the decision may change and change back.

    It may where the outputs, extended in a straight line from the interval before or behind, decide otherwise than
    both ends. Outputs with one kink in the interval lie on these two lines.

    Args:
        place: Places of the points on each line, (lines, points), in order.
        outputs: Outputs at the points, (lines, points, O).
        decided: Decisions at the points, (lines, points).
        decode: Returns the decisions for outputs, (M, O) -> (M,).

    Returns:
        Whether it may, (lines, points - 1).
    """
    width, step = place.diff(dim=1)[..., None], outputs.diff(dim=1)
    other = torch.zeros(place.shape[0], place.shape[1] - 1, dtype=torch.bool)
    for share in (0.25, 0.5, 0.75):
        before = outputs[:, 1:-1] + step[:, :-1] * (share * width[:, 1:] / width[:, :-1])
        behind = outputs[:, 1:-1] - step[:, 1:] * (share * width[:, :-1] / width[:, 1:])
        for extended, into in ((before, slice(1, None)), (behind, slice(None, -1))):
            preds = decode(extended.flatten(0, 1)).view(extended.shape[:2])
            other[:, into] |= (preds != decided[:, :-1][:, into]) & (preds != decided[:, 1:][:, into])
    return other


def _gauss_legendre(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of Gauss-Legendre quadrature on intervals: (panels,) -> (panels, NODES) each."""
    nodes, weights = map(torch.from_numpy, LEGENDRE)
    half = (high - low)[:, None] / 2
    return (low + high)[:, None] / 2 + half * nodes, half * weights


def _pieces(line: Tensor, low: Tensor, high: Tensor, changes: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return line, low and high end of the pieces into which changes at given places of some lines cut panels."""
    lines, places = torch.cat([line, changes, line]), torch.cat([low, at, high])
    kind = torch.tensor([1, 0, -1]).repeat_interleave(torch.tensor([len(low), len(at), len(high)]))
    order = np.lexsort((kind.numpy(), places.numpy(), lines.numpy()))
    lines, places = lines[order], places[order]
    inside = kind[order].cumsum(0)[:-1] > 0
    return lines[:-1][inside], places[:-1][inside], places[1:][inside]
