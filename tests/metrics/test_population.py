import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm, uniform
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from src.data.protocols import Distribution
from src.data.xor import Xor
from src.losses.base import Objective
from src.losses.ce import CrossEntropy
from src.losses.corn import ConditionalOrdinal
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError
from src.metrics import population
from src.metrics.population import LinePopulation, Population, linear_discriminant
from src.metrics.predictions import predict, seed_network
from tests.metrics.references import (
    Floats,
    Network,
    every_objective,
    generators,
    make_distribution,
    make_network,
    make_stack,
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


@pytest.mark.parametrize("noise", NOISES)
def test_the_grid_converges_to_the_population_on_lines(noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, distribution = CrossEntropy(3), make_distribution(3, noise, samples_per_class=40)
    stack = make_stack(objective, seeds=3)
    networks = [seed_network(stack, seed) for seed in range(3)]
    exact = [LinePopulation(objective, distribution).metrics(network) for network in networks]
    errors = []
    for resolution in (64, 512, 4096):
        monkeypatch.setattr(population, "RESOLUTION", resolution)
        grid = Population(objective, distribution)
        found = [grid.metrics(network) for network in networks]
        errors.append(
            {name: max(abs(a[name] - b[name]) for a, b in zip(found, exact, strict=True)) for name in exact[0]}
        )
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


def test_decisions_that_are_noise_are_cut_no_further_than_memory_allows() -> None:
    distribution, evaluated = make_distribution(2, samples_per_class=4), []

    def network(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        noise = torch.sin(1e9 * x[:, 1])
        return torch.stack([noise, -noise], dim=1)

    found = LinePopulation(OneHotMeanSquaredError(2), distribution).metrics(network)["population/accuracy"]
    assert found == pytest.approx(0.5, abs=0.02)
    assert max(evaluated) < 4 * 4 * 4 * population.NODES * population.MAX_PANELS


def test_the_population_on_lines_evaluates_a_network_at_few_points() -> None:
    objective, distribution, evaluated = CrossEntropy(3), make_distribution(3), []
    network = make_network(objective)

    def counted(x: Tensor) -> Tensor:
        evaluated.append(len(x))
        return network(x)

    LinePopulation(objective, distribution).metrics(counted)
    assert sum(evaluated) < len(distribution.population(512)[0]) / 3


def test_a_source_with_lines_is_evaluated_on_them() -> None:
    assert type(Population.of(make_distribution(2), CrossEntropy(2))) is LinePopulation
