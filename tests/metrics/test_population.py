import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm, uniform
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from src.data.gaussians import Gaussians
from src.data.protocols import Distribution
from src.data.xor import Xor
from src.losses.base import Objective
from src.losses.ce import CrossEntropy
from src.losses.corn import ConditionalOrdinal
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError
from src.metrics import cubic_lines, population
from src.metrics.population import LinePopulation, PlanePopulation, Population, linear_discriminant
from src.metrics.predictions import predict, seed_network, seed_networks
from src.models.mlp import MLP
from tests.metrics.references import (
    Floats,
    Network,
    every_objective,
    generators,
    halves,
    linear_regions,
    make_distribution,
    make_network,
    make_stack,
    normal_classes,
    reference_preds,
    reference_probabilities,
)

NOISES = ("uniform", "gaussian")


def linear_reference(x: Floats, mass: Floats) -> float:
    """Return the accuracy of the classifier that models each class as normal, with the pooled covariance."""
    priors = mass.sum(0)
    means = [np.average(x, axis=0, weights=weights) for weights in mass.T]
    covariance = sum(
        prior * np.cov(x, rowvar=False, aweights=weights, ddof=0) for prior, weights in zip(priors, mass.T, strict=True)
    )
    normals = [multivariate_normal(mean, covariance) for mean in means]
    scores = [np.log(prior) + normal.logpdf(x) for prior, normal in zip(priors, normals, strict=True)]
    return float(mass[np.arange(len(x)), np.argmax(scores, axis=0)].sum())


def reference_metrics(
    network: Network, objective: Objective, distribution: Distribution, resolution: int
) -> dict[str, float]:
    """Return the population metrics by a loop over cells and classes."""
    x, mass = (tensor.numpy() for tensor in distribution.population(resolution))
    outputs = network(torch.tensor(x)).double().numpy()
    preds, q = reference_preds(objective, outputs, distribution.classes), reference_probabilities(objective, outputs)
    accuracy = excess = gap = 0.0
    for cell, pred in enumerate(preds):
        weight = math.fsum(mass[cell])
        accuracy += mass[cell, pred]
        if q is not None and weight > 0:
            for label in range(distribution.classes):
                if mass[cell, label] > 0:
                    posterior = mass[cell, label] / weight
                    excess += mass[cell, label] * (math.log(posterior) - math.log(q[cell, label]))
            gap += weight * abs(q[cell, pred] - mass[cell, pred] / weight)
    bayes = distribution.bayes_accuracy()
    metrics = {"population/accuracy": accuracy, "population/regret": bayes - accuracy, "bayes/accuracy": bayes}
    metrics["linear/accuracy"] = linear_reference(x, mass)
    if isinstance(objective, MeanSquaredError):
        metrics["ideal/accuracy"] = rounding_reference(mass)
    return metrics if q is None else metrics | {"population/excess_ce": excess, "population/calibration_error": gap}


def rounding_reference(mass: Floats) -> float:
    """Return the accuracy of rounding the conditional mean of the label, cell by cell."""
    accuracy = 0.0
    for row in mass:
        if row.sum() > 0:
            mean = sum(label * share for label, share in enumerate(row)) / row.sum()
            accuracy += row[max(0, math.ceil(round(mean - 0.5, 9)))]
    return accuracy


@every_objective
def test_population_metrics_agree_with_a_loop(
    objective: Objective, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "RESOLUTION", 24)
    for seed, noise in enumerate(NOISES):
        distribution = make_distribution(classes, noise, samples_per_class=9)
        network = seed_network(make_stack(objective, seeds=2), seed)
        metrics = Population(objective, distribution).metrics(network)
        assert metrics == pytest.approx(reference_metrics(network, objective, distribution, 24), rel=1e-9, abs=1e-12)
        assert 0.1 < metrics["population/accuracy"] < metrics["bayes/accuracy"] - 0.005  # so that every term counts
        assert metrics.get("population/excess_ce", 1) > 0


def test_excess_ce_is_the_cross_entropy_less_the_entropy_as_simulated() -> None:
    distribution, objective = make_distribution(3, "gaussian"), CrossEntropy(3)
    network = make_network(objective)
    x, target = (part.flatten(0, 1) for part in distribution.sample(generators(1) * 1500))
    q = predict(network(x), objective).probabilities
    assert q is not None
    label = target[:, None]
    difference = (distribution.posterior(x).gather(1, label).log() - q.gather(1, label).log())[:, 0]
    error = difference.std().item() / len(difference) ** 0.5
    metrics = Population(objective, distribution).metrics(network)
    assert abs(difference.mean().item() - metrics["population/excess_ce"]) < 4 * error
    assert error < 0.02 * metrics["population/excess_ce"]


@pytest.mark.parametrize(
    ("classes", "noise", "spacing"),
    [(2, "uniform", 0.13), (3, "gaussian", 0.05), (4, "uniform", 0.3), (5, "gaussian", 0.13), (3, "uniform", 0.0)],
)
def test_the_posterior_and_the_bayes_rule_leave_nothing_to_learn(classes: int, noise: str, spacing: float) -> None:
    distribution = make_distribution(classes, noise, spacing=spacing, label_order=list(reversed(range(classes))))
    metrics = Population(CrossEntropy(classes), distribution).metrics(lambda x: distribution.posterior(x).log())
    assert metrics["population/accuracy"] == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)
    assert metrics["population/excess_ce"] == pytest.approx(0, abs=1e-8)
    assert metrics["population/calibration_error"] == pytest.approx(0, abs=1e-4)
    network = lambda x: torch.nn.functional.one_hot(distribution.bayes_rule(x), classes).float()  # noqa: E731
    assert Population(OneHotMeanSquaredError(classes), distribution).metrics(network) == {
        "population/accuracy": pytest.approx(distribution.bayes_accuracy(), abs=1e-9),
        "population/regret": pytest.approx(0, abs=1e-9),
        "bayes/accuracy": distribution.bayes_accuracy(),
        "linear/accuracy": metrics["linear/accuracy"],
    }


@pytest.mark.parametrize(("noise", "classes"), [("uniform", 2), ("gaussian", 4)])
def test_a_network_that_only_knows_the_priors(classes: int, noise: str) -> None:
    distribution = make_distribution(classes, noise)
    metrics = Population(CrossEntropy(classes), distribution).metrics(lambda x: torch.zeros(len(x), classes))
    x, mass = distribution.population(population.RESOLUTION)
    posterior = distribution.posterior(x)
    information = math.log(classes) + torch.xlogy(mass, posterior).sum().item()  # of the label, given the point
    assert metrics["population/accuracy"] == pytest.approx(1 / classes, abs=1e-12)
    assert metrics["population/excess_ce"] == pytest.approx(information, abs=1e-6)
    if noise == "uniform" and classes == 2:  # half of the mass lies where both bands do, half where one does
        assert metrics["population/excess_ce"] == pytest.approx(math.log(2) / 2, abs=1e-9)
        assert metrics["population/calibration_error"] == pytest.approx(1 / 4, abs=1e-9)


@pytest.mark.parametrize(("noise", "classes"), [("uniform", 2), ("gaussian", 4)])
def test_linear_accuracy_is_that_of_linear_discriminant_analysis(classes: int, noise: str) -> None:
    distribution = make_distribution(classes, noise)
    samples, target = (part.flatten(0, 1).numpy() for part in distribution.sample(generators(1) * 500))
    fitted = LinearDiscriminantAnalysis().fit(samples, target)
    x, mass = distribution.population(population.RESOLUTION)
    labels = linear_discriminant(x, mass)
    assert (labels.shape, labels.dtype) == ((len(x),), torch.int64)
    reached = mass.gather(1, torch.tensor(fitted.predict(x.numpy()))[:, None]).sum().item()
    constant = Population(CrossEntropy(classes), distribution).metrics(lambda x: torch.zeros(len(x), classes))
    assert constant["linear/accuracy"] == pytest.approx(reached, abs=2e-3)
    assert constant["linear/accuracy"] == pytest.approx(linear_reference(x.numpy(), mass.numpy()), abs=1e-12)
    assert 1 / classes + 0.02 < constant["linear/accuracy"] < distribution.bayes_accuracy() - 0.005


def test_the_linear_discriminant_finds_a_straight_optimum() -> None:
    # Two classes on the corners of a square, told apart by the second feature, the first class twice as heavy.
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    mass = torch.tensor([[0.3, 0.05], [0.3, 0.05], [0.05, 0.1], [0.05, 0.1]], dtype=torch.float64)
    assert linear_discriminant(x, mass).tolist() == [0, 0, 1, 1]
    rare = torch.tensor([[0.36, 0.03], [0.36, 0.03], [0.08, 0.03], [0.08, 0.03]], dtype=torch.float64)
    assert linear_discriminant(x, rare).tolist() == [0, 0, 0, 0]  # a class so rare that its prior outweighs the rest


@pytest.mark.parametrize("noise_std", [0.05, 0.15, 0.25])
def test_the_linear_discriminant_of_classes_with_one_mean_decides_alike(noise_std: float) -> None:
    distribution = Xor(2, samples_per_corner=1, noise_std=noise_std)
    metrics = Population(CrossEntropy(2), distribution).metrics(lambda x: torch.zeros(len(x), 2))
    assert metrics["linear/accuracy"] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("order", "expected"), [(None, 0.625), ([0, 2, 1, 3], 0.375), ([3, 2, 1, 0], 0.625)], ids=str)
def test_rounding_pays_for_labels_out_of_order_and_the_bayes_rule_does_not(
    order: list[int] | None, expected: float
) -> None:
    distribution = make_distribution(4, label_order=order)
    metrics = Population(MeanSquaredError(4), distribution).metrics(lambda x: torch.zeros(len(x), 1))
    assert metrics["bayes/accuracy"] == pytest.approx(0.625, abs=1e-12)
    assert metrics["ideal/accuracy"] == pytest.approx(expected, abs=1e-12)


def test_the_median_of_corn_is_ideal_also_out_of_order_and_rounding_is_not() -> None:
    distribution = make_distribution(4, "gaussian", label_order=[0, 2, 1, 3])
    median = Population(ConditionalOrdinal(4), distribution).metrics(lambda x: torch.zeros(len(x), 3))["ideal/accuracy"]
    rounding = Population(MeanSquaredError(4), distribution).metrics(lambda x: torch.zeros(len(x), 1))["ideal/accuracy"]
    assert rounding < median <= distribution.bayes_accuracy()
    mass = distribution.population(population.RESOLUTION)[1].numpy()
    cumulated = np.cumsum(mass, axis=1) / mass.sum(1, keepdims=True)
    assert median == pytest.approx(mass[np.arange(len(mass)), (cumulated < 0.5).sum(1)].sum(), abs=1e-9)


def test_a_network_that_is_certain_and_wrong_has_a_large_but_finite_excess() -> None:
    distribution = make_distribution(2)
    certain = Population(CrossEntropy(2), distribution).metrics(lambda x: torch.tensor([1e6, 0.0]).expand(len(x), 2))
    assert 300 < certain["population/excess_ce"] < 400  # half of the points, at about -ln of the smallest double
    assert certain["population/accuracy"] == pytest.approx(0.5, abs=1e-12)


def largest_errors(
    points: Population, networks: Sequence[Network], exact: Sequence[dict[str, float]]
) -> dict[str, float]:
    """Return by how much each metric of some networks over weighted points differs at most."""
    found = [points.metrics(network) for network in networks]
    return {name: max(abs(a[name] - b[name]) for a, b in zip(found, exact, strict=True)) for name in exact[0]}


@pytest.mark.parametrize("noise", NOISES)
def test_the_grid_converges_to_the_population_on_lines(noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, distribution = CrossEntropy(3), make_distribution(3, noise, samples_per_class=40)
    stack = make_stack(objective, seeds=3)
    networks = [seed_network(stack, seed) for seed in range(3)]
    exact = [LinePopulation(objective, distribution).metrics(network) for network in networks]
    errors = []
    for resolution in (64, 512, 4096):
        monkeypatch.setattr(population, "RESOLUTION", resolution)
        errors.append(largest_errors(Population(objective, distribution), networks, exact))
    for name in ("population/accuracy", "linear/accuracy"):
        assert errors[2][name] < errors[0][name] / 8
        assert errors[2][name] < 5e-5  # a cell of this grid, over as few lines
    assert errors[2]["population/excess_ce"] < 5e-6
    assert errors[2]["population/calibration_error"] < 2e-5


@pytest.mark.parametrize("noise", NOISES)
def test_the_accuracy_of_a_threshold_is_exact(noise: str) -> None:
    distribution, height = make_distribution(2, noise, flip=0.1), 0.37  # class 0 above a horizontal line
    network = lambda x: torch.stack([x[:, 1] - height, height - x[:, 1]], dim=1)  # noqa: E731
    below = height - distribution.curve(distribution.lines(80)).numpy()[:, None] - distribution.centres.numpy()
    below = norm.cdf(below, scale=0.2 / math.sqrt(3)) if noise == "gaussian" else uniform.cdf(below, -0.2, 0.4)
    right = np.stack([1 - below[:, 0], below[:, 1]])  # by class, before labels are flipped
    metrics = LinePopulation(OneHotMeanSquaredError(2), distribution).metrics(network)
    assert metrics["population/accuracy"] == pytest.approx(0.1 + 0.8 * right.mean(), abs=1e-6)


def test_the_accuracy_on_lines_agrees_with_simulation() -> None:
    objective, distribution = CrossEntropy(3), make_distribution(3, "gaussian")
    network = make_network(objective)
    x, target = (part.flatten(0, 1) for part in distribution.sample(generators(1) * 2000))
    simulated = (predict(network(x), objective).preds == target).double()
    error = simulated.std().item() / len(simulated) ** 0.5
    found = LinePopulation(objective, distribution).metrics(network)["population/accuracy"]
    assert abs(simulated.mean().item() - found) < 4 * error < 0.004


def test_boundaries_of_high_frequency_are_evaluated_on_more_panels() -> None:
    distribution, evaluated = make_distribution(2, samples_per_class=10), []

    def network(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        wave = torch.sin(1200 * (x[:, 1] - distribution.curve(x[:, 0])) + 1)
        return torch.stack([wave, -wave], dim=1)

    # The distance from the cubic at which the wave changes its sign, with the decision below it, and the share of
    # each class there, in closed form.
    edges = (np.arange(-180, 180) * math.pi - 1) / 1200
    below = np.stack([uniform.cdf(edges, centre - 0.2, 0.4) for centre in distribution.centres.tolist()]) / 2
    share = np.diff(below, axis=1)
    expected = share[0, np.arange(-180, 179) % 2 == 0].sum() + share[1, np.arange(-180, 179) % 2 == 1].sum()
    found = LinePopulation(OneHotMeanSquaredError(2), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(expected, abs=1e-6)
    assert max(evaluated) > 8 * evaluated[0]


def test_two_changes_between_neighbouring_nodes_are_found() -> None:
    distribution = make_distribution(2, samples_per_class=10)

    def network(x: Tensor) -> Tensor:  # class 1 between two nodes, 0.007 apart
        spike = 0.001 - (x[:, 1] - distribution.curve(x[:, 0]) + 0.1965).abs()
        return torch.stack([-spike, spike], dim=1)

    found = LinePopulation(OneHotMeanSquaredError(2), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(0.5 + 0.5 * 0.002 / 0.4, abs=1e-6)  # class 1 alone has samples there


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("objective", [CrossEntropy(2), CrossEntropy(4), MeanSquaredError(4)], ids=["2", "4", "mse"])
def test_the_accuracy_on_lines_counts_every_change_of_a_network(objective: Objective, noise: str) -> None:
    classes = getattr(objective, "classes", objective.out_features)
    distribution = make_distribution(classes, noise, samples_per_class=40, spacing=0.15)
    stack = make_stack(objective).double()
    with torch.no_grad():
        for layer, generator in zip(stack.trunk, generators(1, 2), strict=True):
            layer.weight.mul_(6)
            layer.bias.normal_(0, 4, generator=generator)
    level = seed_network(stack, 0)(distribution.population(64)[0]).mean(0)
    network = lambda x: seed_network(stack, 0)(x) - level + (classes - 1) / 2 * (objective.out_features == 1)  # noqa: E731
    x1 = distribution.lines(40)
    ends = distribution.cell_edges(1)[[0, -1]]

    def decide(line: Tensor, shift: Tensor) -> Tensor:
        x = torch.stack([x1[line], distribution.curve(x1[line]) + shift], dim=1)
        return predict(network(x), objective).preds

    # All changes between 4,000 points of each line, by halving the distances between these.
    place = torch.linspace(*ends.tolist(), 4001, dtype=torch.float64).repeat(40, 1)
    decided = decide(torch.arange(40).repeat_interleave(4001), place.flatten()).view(40, -1)
    line, index = (decided[:, 1:] != decided[:, :-1]).nonzero(as_tuple=True)
    low, high, before, behind = (
        place[line, index],
        place[line, index + 1],
        decided[line, index],
        decided[line, index + 1],
    )
    for _ in range(40):
        middle = (low + high) / 2
        same = decide(line, middle) == before
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    if noise == "gaussian":
        shares = norm.cdf(low.numpy()[:, None], distribution.centres, 0.2 / math.sqrt(3)) / classes
    else:
        shares = uniform.cdf(low.numpy()[:, None], distribution.centres.numpy() - 0.2, 0.4) / classes
    rows = np.arange(len(low))
    expected = 1 / classes + (shares[rows, before] - shares[rows, behind]).sum() / 40
    assert len(low) > 30
    found = LinePopulation(objective, distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("objective", [CrossEntropy(3), MeanSquaredError(3)], ids=["ce", "mse"])
def test_a_network_has_the_same_bits_on_lines_alone_and_in_a_stack(
    objective: Objective, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = LinePopulation(objective, make_distribution(3, noise))
    stack = make_stack(objective, seeds=5)
    networks = seed_networks(stack, range(5))
    together = lines.stack_metrics(networks)
    assert together == [lines.metrics(seed_network(stack, seed)) for seed in range(5)]
    assert together[3:] == lines.stack_metrics(networks[3:])

    def waves(x: Tensor) -> Tensor:  # which need more panels
        return torch.sin(1000 * x[:, 1:] + torch.arange(objective.out_features))

    beside = lines.stack_metrics([waves, networks[1], waves, networks[4]])
    assert beside == [lines.metrics(waves), together[1], lines.metrics(waves), together[4]]
    monkeypatch.setattr(population, "MAX_SCORES", 2 * 3 * 80 * 120)  # of two networks
    assert lines.stack_metrics(networks) == together


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_on_lines_that_are_not_finite_end_too(value: float) -> None:
    lines = LinePopulation(OneHotMeanSquaredError(2), make_distribution(2, samples_per_class=10))
    lines.metrics(lambda x: torch.stack([x[:, 0], torch.where(x[:, 1] > 0.3, value, 0.5)], dim=1))


def test_a_network_beside_waves_is_evaluated_on_its_lines_once() -> None:
    objective, distribution, evaluated = CrossEntropy(2), make_distribution(2), []
    network = make_network(objective)

    def counted(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        return network(x)

    lines = LinePopulation(objective, distribution)
    lines.metrics(counted)
    alone = evaluated.copy()
    evaluated.clear()
    lines.stack_metrics([counted, lambda x: torch.sin(1000 * x)])
    assert evaluated == alone


@pytest.mark.parametrize("width", [0.004, 0.0003])
def test_a_sliver_of_a_third_decision_between_two_others_is_found(width: float) -> None:
    distribution = make_distribution(3, samples_per_class=30)

    def network(x: Tensor) -> Tensor:  # class 0 above a slanted line, 2 below it, and 1 beside it
        height = x[:, 1] - distribution.curve(x[:, 0]) - 0.15 * x[:, 0]
        return torch.stack([height, torch.full_like(height, width / 2), -height], dim=1)

    middle = 0.15 * distribution.lines(30).numpy()[:, None]
    below = uniform.cdf(middle + width / 2 * np.array([-1, 1]), distribution.centres.numpy()[:, None, None] - 0.2, 0.4)
    expected = (1 - below[0, :, 1] + below[1, :, 1] - below[1, :, 0] + below[2, :, 0]).mean() / 3
    found = LinePopulation(OneHotMeanSquaredError(3), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("shift", np.linspace(0, 0.08, 9))
def test_a_sliver_among_kinks_of_a_trained_network_is_found(shift: float) -> None:
    """The lead of one class over another is that of a network on a line where half as many panels miss a sliver."""
    places = [-1, -0.1059, -0.0944, -0.0850, -0.0842, -0.0834, -0.0823, -0.0799, -0.0750, -0.0653, -0.0637, 1]
    leads = [2, 0.65, 0.6, 0, -0.01, 0, 0.094, 0.338, 0.349, 0, -2.3, -5]
    distribution = make_distribution(4, "gaussian", samples_per_class=5)

    def network(x: Tensor) -> Tensor:
        height = (x[:, 1] - distribution.curve(x[:, 0])).numpy() - shift
        lead = torch.from_numpy(np.interp(height, places, leads))
        never = torch.full_like(lead, -9)
        return torch.stack([never, lead, -lead, never], dim=1)

    low, high, last = np.array([-0.0850, -0.0834, -0.0653]) + shift
    first, second = (norm(centre, 0.2 / math.sqrt(3)).cdf for centre in distribution.centres[1:3].tolist())
    expected = (first(low) + first(last) - first(high) + second(high) - second(low) + 1 - second(last)) / 4
    found = LinePopulation(OneHotMeanSquaredError(4), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_decision_rule_without_scores_is_integrated_on_lines() -> None:
    class WithoutScores(OneHotMeanSquaredError):  # noqa: N818
        scores = None

    distribution = make_distribution(3, samples_per_class=20)
    network = make_network(OneHotMeanSquaredError(3))
    found, expected = (
        LinePopulation(kind(3), distribution).metrics(network) for kind in (WithoutScores, OneHotMeanSquaredError)
    )
    assert found == pytest.approx(expected, abs=1e-6)


def test_decisions_that_are_noise_are_cut_no_further_than_memory_allows() -> None:
    distribution, evaluated = make_distribution(2, samples_per_class=4), []

    def network(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        noise = torch.sin(1e9 * x[:, 1])
        return torch.stack([noise, -noise], dim=1)

    found = LinePopulation(OneHotMeanSquaredError(2), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(0.5, abs=0.02)
    assert max(evaluated) < 4 * 4 * 4 * cubic_lines.NODES * cubic_lines.MAX_PANELS


def test_the_population_on_lines_evaluates_a_network_at_few_points() -> None:
    objective, distribution, evaluated = CrossEntropy(2), make_distribution(2), []
    network = make_network(objective)

    def counted(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        return network(x)

    LinePopulation(objective, distribution).metrics(counted)
    assert sum(evaluated) < len(distribution.population(512)[0]) / 4


def test_a_source_with_lines_is_evaluated_on_them() -> None:
    assert type(Population.of(make_distribution(2), CrossEntropy(2))) is LinePopulation


XOR = Xor(2, samples_per_corner=9, noise_std=0.15)


def plane_accuracy(distribution: Distribution, decide: Network, classes: int = 2) -> float:
    """Return the population accuracy of scores (M, C) on the plane of normal distributions."""
    population = Population.of(distribution, OneHotMeanSquaredError(classes))
    assert isinstance(population, PlanePopulation)
    return population.metrics(decide)["population/accuracy"]


def below(distribution: Xor | Gaussians, direction: Floats, thresholds: Floats) -> Floats:
    """Return the joint mass of each class where x . direction is below thresholds: (T, C)."""
    weight, mean, covariance, label = (part.numpy() for part in distribution.normals())
    deviation = np.sqrt(np.einsum("i,kij,j->k", direction, covariance, direction))
    mass = weight * norm.cdf((thresholds[:, None] - mean @ direction) / deviation)
    return np.stack([mass[:, label == each].sum(1) for each in range(distribution.classes)], axis=1)


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2)], ids=["xor", "gaussians"])
@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 123, 180, 270, 301])
def test_half_planes_have_the_mass_of_a_normal_distribution(distribution: Xor | Gaussians, degrees: float) -> None:
    direction = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    _, mean, covariance, _ = distribution.normals()
    threshold = float(mean[0] @ direction + 0.7 * covariance[0, 0, 0] ** 0.5)
    [mass] = below(distribution, direction, np.array([threshold]))
    [whole] = below(distribution, direction, np.array([np.inf]))
    signed = lambda x: x @ torch.tensor(direction) - threshold  # noqa: E731
    found = plane_accuracy(distribution, lambda x: torch.stack([-signed(x), signed(x)], dim=1))
    assert found == pytest.approx(mass[0] + whole[1] - mass[1], abs=1e-8)


@pytest.mark.parametrize("radius", [0.03, 0.4, 1.7, 3.5])
def test_discs_have_the_mass_of_a_rayleigh_distribution(radius: float) -> None:
    means, covariances = [[3.0, -1.0]] * 2, [[[1.0, 0.0], [0.0, 1.0]], [[4.0, 0.0], [0.0, 4.0]]]
    distribution = Gaussians(2, samples=9, means=means, covariances=covariances, priors=[1, 2])
    outside = lambda x: (x - torch.tensor(means[0])).square().sum(1) - radius**2  # noqa: E731
    found = plane_accuracy(distribution, lambda x: torch.stack([-outside(x), outside(x)], dim=1))
    expected = (1 - math.exp(-(radius**2) / 2)) / 3 + math.exp(-(radius**2) / 8) * 2 / 3
    assert found == pytest.approx(expected, abs=1e-6 if radius > 0.1 else 6e-4)  # a small island may be unseen


def test_three_sectors_have_the_shares_of_their_angles() -> None:
    unit = [[1.0, 0.3], [0.3, 2.0]]
    distribution = Gaussians(3, samples=9, means=[[0.0, 0.0]] * 3, covariances=[unit] * 3, priors=[1, 2, 3])
    angles = np.radians([10, 100, 250])  # of the middle lines of the sectors, in whitened coordinates
    directions = np.stack([np.cos(angles), np.sin(angles)]) @ np.eye(3)
    weights = torch.tensor(np.linalg.inv(np.linalg.cholesky(unit)).T @ directions)  # (2, 3)
    found = plane_accuracy(distribution, lambda x: x @ weights, classes=3)
    widths = np.array([90 / 2 + 120 / 2, 90 / 2 + 150 / 2, 150 / 2 + 120 / 2]) / 360
    assert found == pytest.approx(widths @ [1, 2, 3] / 6, abs=1e-7)


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2)], ids=["xor", "gaussians"])
@pytest.mark.parametrize("width", [0.003, 0.0005])
def test_strips_far_thinner_than_the_grid_are_found(distribution: Xor | Gaussians, width: float) -> None:
    direction = np.array([math.cos(0.6), math.sin(0.6)])
    _, mean, covariance, _ = distribution.normals()
    scale = covariance[0, 0, 0].item() ** 0.5
    middle = float(mean[0] @ direction + 0.4 * scale)
    mass = below(distribution, direction, middle + width * scale / 2 * np.array([-1, 1, np.inf]))
    inside = lambda x: width * scale / 2 - (x @ torch.tensor(direction) - middle).abs()  # noqa: E731
    found = plane_accuracy(distribution, lambda x: torch.stack([-inside(x), inside(x)], dim=1))
    assert found == pytest.approx(mass[2, 0] - mass[1, 0] + mass[0, 0] + mass[1, 1] - mass[0, 1], abs=5e-7)


@pytest.mark.parametrize("waves", [5, 25])
def test_boundaries_of_high_frequency_are_evaluated_on_a_finer_grid(waves: int) -> None:
    distribution, evaluated = normal_classes(2), []
    direction = np.array([0.02, 0.013])  # of length 1 over about a standard deviation
    frequency = 2 * math.pi * waves / 10

    def network(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        wave = torch.sin(frequency * (x @ torch.tensor(direction)) + 1)
        return torch.stack([wave, -wave], dim=1)

    edges = (np.arange(-40 * waves, 40 * waves) * math.pi - 1) / frequency
    share = np.diff(below(distribution, direction, edges), axis=0)
    even = np.arange(-40 * waves, 40 * waves - 1) % 2 == 0
    expected = share[even, 0].sum() + share[~even, 1].sum()
    assert plane_accuracy(distribution, network) == pytest.approx(expected, abs=1e-6)
    assert (max(evaluated) > 2**13) == (waves == 25)


def test_decisions_of_the_plane_that_are_noise_end() -> None:
    evaluated = []

    def network(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        noise = torch.sin(1e9 * x[:, 1]) + torch.sin(1.1e9 * x[:, 0])
        return torch.stack([noise, -noise], dim=1)

    assert plane_accuracy(normal_classes(2), network) == pytest.approx(0.5, abs=0.02)
    assert max(evaluated) < 2**20


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_not_finite_end_too(value: float) -> None:
    plane_accuracy(XOR, lambda x: torch.stack([x[:, 0], torch.where(x[:, 1] > 0.3, value, 0.5)], dim=1))


def polygon_masses(distribution: Xor | Gaussians, polygons: list[Floats], labels: list[int]) -> float:
    """Return the joint mass of convex polygons and their labels, by quadrature over their sides (Green's theorem)."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    starts, ends, label, sign = [], [], [], []
    for polygon, own in zip(polygons, labels, strict=True):
        following = np.roll(polygon, -1, axis=0)
        turn = np.sign((polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum())
        for part in range(4):
            starts.append(polygon + (following - polygon) * part / 4)
            ends.append(polygon + (following - polygon) * (part + 1) / 4)
            label += [own] * len(polygon)
            sign += [turn] * len(polygon)
    start, end = np.concatenate(starts), np.concatenate(ends)
    x, y = np.moveaxis((start + end)[:, None] / 2 + nodes[:, None] * (end - start)[:, None] / 2, -1, 0)
    total = 0.0
    for weight, mean, covariance, own in zip(*(part.numpy() for part in distribution.normals()), strict=True):
        given = mean[0] + covariance[0, 1] / covariance[1, 1] * (y - mean[1])
        rest = (covariance[0, 0] - covariance[0, 1] ** 2 / covariance[1, 1]) ** 0.5
        density = norm.pdf(y, mean[1], covariance[1, 1] ** 0.5) * norm.cdf(x, given, rest)
        total += weight * (np.array(sign) * (np.array(label) == own) * (density @ weights) @ (end - start)[:, 1]) / 2
    return float(total)


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2)], ids=["xor", "gaussians"])
@pytest.mark.parametrize("objective", [CrossEntropy(2), MeanSquaredError(2)], ids=["ce", "mse"])
def test_the_accuracy_of_networks_is_that_of_their_linear_regions(
    objective: Objective, distribution: Xor | Gaussians
) -> None:
    stack, _ = standardised(make_stack(objective), distribution), distribution.normals()
    _, mean, covariance, _ = distribution.normals()
    reach = 8 * covariance[:, 0, 0].max().sqrt().item() + mean.std(0).max().item()
    box = mean.mean(0).numpy() + reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    polygons, labels = [], []
    for polygon, slope, offset in linear_regions(stack, box):
        weight, bias = slope[:, -1], offset[-1]
        if isinstance(objective, CrossEntropy):
            weight, bias = weight - slope[:, 0], bias - offset[0]
        else:
            bias = bias - 0.5
        polygons += halves(polygon, polygon @ weight + bias)
        labels += [int(part.mean(0) @ weight + bias > 0) for part in polygons[len(labels) :]]
    assert polygon_masses(distribution, polygons, [0] * len(labels)) == pytest.approx(
        below(distribution, np.array([1.0, 0.0]), np.array([np.inf]))[0, 0], abs=1e-9
    )  # the polygons cover the plane
    population = Population.of(distribution, objective)
    assert population is not None
    found = population.metrics(seed_network(stack, 0))["population/accuracy"]
    assert found == pytest.approx(polygon_masses(distribution, polygons, labels), abs=1e-6)


def standardised(stack: MLP, distribution: Xor | Gaussians) -> MLP:
    """Return networks in double precision whose inputs are standardised."""
    weight, mean, covariance, _ = distribution.normals()
    centre = weight @ mean
    variance = (weight[:, None] * (covariance.diagonal(dim1=1, dim2=2) + (mean - centre) ** 2)).sum(0)
    with torch.no_grad():
        stack.double().trunk[0].weight.div_(variance.sqrt()[:, None])
        stack.trunk[0].bias.sub_((centre @ stack.trunk[0].weight)[:, None])
    return stack


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2), normal_classes(3)], ids=["xor", "two", "three"])
def test_the_weighted_points_converge_to_the_plane(distribution: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = CrossEntropy(distribution.classes)
    stack = standardised(make_stack(objective, seeds=3), distribution)
    networks = [seed_network(stack, seed) for seed in range(3)]
    plane = Population.of(distribution, objective)
    assert isinstance(plane, PlanePopulation)
    exact = plane.stack_metrics(networks)
    errors = []
    for resolution in (16, 512, 4096):
        monkeypatch.setattr(population, "RESOLUTION", resolution)
        errors.append(largest_errors(Population(objective, distribution), networks, exact))
    assert errors[1]["population/accuracy"] < errors[0]["population/accuracy"] / 4
    assert errors[2]["population/accuracy"] < 4e-5
    assert errors[2]["linear/accuracy"] < 1e-5
    for name in ("population/excess_ce", "population/calibration_error"):
        assert errors[2][name] < 0.01 * exact[0][name]


def test_the_accuracy_on_the_plane_agrees_with_simulation() -> None:
    objective, distribution = CrossEntropy(3), normal_classes(3)
    network = seed_network(standardised(make_stack(objective), distribution), 0)
    distribution.size = 1_000_000
    x, target = (part.flatten(0, 1) for part in distribution.sample(generators(1)))
    simulated = (predict(network(x), objective).preds == target).double()
    error = simulated.std().item() / len(simulated) ** 0.5
    found = PlanePopulation.of(distribution, objective)
    assert found is not None
    assert abs(simulated.mean().item() - found.metrics(network)["population/accuracy"]) < 4 * error < 0.002


@pytest.mark.parametrize("objective", [CrossEntropy(2), MeanSquaredError(2)], ids=["ce", "mse"])
def test_a_network_has_the_same_bits_alone_and_in_a_stack(objective: Objective) -> None:
    for distribution in (XOR, normal_classes(2)):
        stack = make_stack(objective, seeds=5)
        networks = seed_networks(stack, range(5))
        plane = Population.of(distribution, objective)
        assert plane is not None
        together = plane.stack_metrics(networks)
        assert together == [plane.metrics(seed_network(stack, seed)) for seed in range(5)]
        assert together[3:] == plane.stack_metrics(networks[3:])


def test_a_decision_rule_without_scores_is_integrated_too() -> None:
    class WithoutScores(OneHotMeanSquaredError):  # noqa: N818
        scores = None

    distribution = normal_classes(2)
    network = seed_network(standardised(make_stack(WithoutScores(2)), distribution), 0)
    assert plane_accuracy(distribution, network) == pytest.approx(
        Population.of(distribution, WithoutScores(2)).metrics(network)["population/accuracy"],  # type: ignore[union-attr]
        abs=1e-4,
    )


def test_the_references_of_two_normal_classes_are_exact() -> None:
    distribution = normal_classes(2)
    plane = Population.of(distribution, MeanSquaredError(2))
    assert plane is not None
    metrics = plane.metrics(lambda x: distribution.posterior(x)[:, 1:])
    bayes = distribution.bayes_accuracy()
    assert metrics["bayes/accuracy"] == bayes
    assert metrics["ideal/accuracy"] == pytest.approx(bayes, abs=2e-8)  # rounds the mean less 1e-6
    assert metrics["population/accuracy"] == pytest.approx(bayes, abs=2e-8)
    weight, mean, covariance, _ = (part.numpy() for part in distribution.normals())
    pooled = np.einsum("k,kij->ij", weight, covariance)
    direction = np.linalg.solve(pooled, mean[1] - mean[0])
    threshold = direction @ mean.sum(0) / 2 + np.log(weight[0] / weight[1])
    [mass] = below(distribution, direction, np.array([threshold]))
    assert metrics["linear/accuracy"] == pytest.approx(mass[0] + weight[1] - mass[1], abs=1e-8)


def test_normal_distributions_of_other_dimensions_keep_weighted_points() -> None:
    eye = np.eye(3).tolist()
    deep = Gaussians(2, samples=9, means=[[0.0] * 3, [1.0] * 3], covariances=[eye, eye], priors=[1, 1])
    assert type(Population.of(deep, CrossEntropy(2))) is Population
    narrow = [[[1.0, 0.0], [0.0, 1.0]], [[1e-6, 0.0], [0.0, 1.0]]]
    flat = Gaussians(2, samples=9, means=[[0.0, 0.0], [1.0, 0.0]], covariances=narrow, priors=[1, 1])
    assert type(Population.of(flat, CrossEntropy(2))) is Population


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2)], ids=["xor", "gaussians"])
def test_the_plane_is_evaluated_at_few_points(distribution: Distribution) -> None:
    objective, evaluated = MeanSquaredError(2), []
    network = seed_network(standardised(make_stack(objective), distribution), 0)

    def counted(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        return network(x)

    plane = Population.of(distribution, objective)
    assert plane is not None
    plane.metrics(counted)
    assert sum(evaluated) < len(distribution.population(512)[0]) / 4


@pytest.mark.parametrize("distribution", [XOR, normal_classes(2)], ids=["xor", "gaussians"])
def test_metrics_of_probabilities_on_the_plane_are_those_of_a_fine_grid(distribution: Xor | Gaussians) -> None:
    objective = CrossEntropy(2)
    network = seed_network(standardised(make_stack(objective), distribution), 0)
    population_ = Population.of(distribution, objective)
    assert population_ is not None
    metrics = population_.metrics(network)
    _, mean, covariance, _ = distribution.normals()
    reach = 7 * covariance.diagonal(dim1=1, dim2=2).amax(0).sqrt()
    axes = [
        torch.linspace(*ends, 1601).double() for ends in zip(mean.amin(0) - reach, mean.amax(0) + reach, strict=True)
    ]
    x = torch.cartesian_prod(*axes)
    weight, density = distribution.normals()[0], torch.zeros(len(x))
    for own, centre, matrix, _ in zip(weight, mean, covariance, range(9), strict=False):
        density = density + own * torch.distributions.MultivariateNormal(centre, matrix).log_prob(x).exp()
    posterior, found = distribution.posterior(x), predict(network(x), objective)
    assert found.probabilities is not None
    density /= density.sum()
    excess = (posterior * (posterior.log() - found.probabilities.log())).nan_to_num(0).sum(1)
    gap = (posterior - found.probabilities).gather(1, found.preds[:, None])[:, 0].abs()
    assert metrics["population/excess_ce"] == pytest.approx((density * excess).sum().item(), rel=2e-4)
    assert metrics["population/calibration_error"] == pytest.approx((density * gap).sum().item(), rel=2e-4)


def test_a_network_beside_noise_keeps_its_bits() -> None:
    plane = Population.of(normal_classes(2), CrossEntropy(2))
    assert plane is not None
    noise = lambda x: torch.stack([torch.sin(1e9 * x[:, 1]), torch.sin(1.1e9 * x[:, 0])], dim=1)  # noqa: E731
    network = seed_network(standardised(make_stack(CrossEntropy(2)), normal_classes(2)), 0)
    assert plane.stack_metrics([noise, network, noise]) == [plane.metrics(each) for each in (noise, network, noise)]
