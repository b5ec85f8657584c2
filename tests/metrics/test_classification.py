import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_squared_error
from torch import Tensor

from src.data.datamodule import Split
from src.data.noisy_cubic import NoisyCubic
from src.data.protocols import Distribution
from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy
from src.losses.corn import ConditionalOrdinal
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError
from src.losses.mse_sigmoid import SigmoidMeanSquaredError
from src.metrics import classification, population
from src.metrics.classification import compute_metrics, split_metrics
from src.metrics.population import Population, linear_discriminant
from src.metrics.predictions import predict, seed_network
from src.models.mlp import MLP
from src.training.single_thread import single_threaded

NOISES = ("uniform", "gaussian")
OBJECTIVES = [
    (CrossEntropy, 2),
    (CrossEntropy, 4),
    (SoftmaxCrossEntropy, 3),
    (BinaryCrossEntropy, 2),
    (MeanSquaredError, 2),
    (MeanSquaredError, 4),
    (OneHotMeanSquaredError, 3),
    (SigmoidMeanSquaredError, 2),
]
every_objective = pytest.mark.parametrize(
    ("kind", "classes"), OBJECTIVES, ids=[f"{kind.__name__}-{classes}" for kind, classes in OBJECTIVES]
)
Network = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True, scope="module")
def as_evaluated() -> Iterator[None]:
    """Evaluate on one thread, as the program does."""
    with single_threaded():
        yield


def make_distribution(classes: int, noise: str = "uniform", samples_per_class: int = 80, **changes: Any) -> NoisyCubic:
    shape = {"half_width": 0.2, "spacing": 0.2, "label_order": None, "priors": None, "flip": 0} | changes
    return NoisyCubic(classes, samples_per_class=samples_per_class, noise=noise, **shape)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def make_stack(objective: Objective, seeds: int = 1, scale: float = 3.0) -> MLP:
    """Return random networks whose outputs are far from constant."""
    shape = {"hidden": [20, 20], "activation": "relu", "init": "kaiming", "init_std": 0.02}
    stack = MLP(2, objective.out_features, generators(*range(seeds)), **shape)
    with torch.no_grad():
        stack.head.weight.mul_(scale)
        for bias, generator in zip(stack.head.bias, generators(*range(50, 50 + seeds)), strict=True):
            bias.normal_(0, 0.3, generator=generator)
    return stack


def make_network(objective: Objective, **kwargs: Any) -> Network:
    return seed_network(make_stack(objective, **kwargs), 0)


def reference_probabilities(objective: Objective, outputs: np.ndarray) -> np.ndarray | None:
    """Return the probabilities by the textbook formulas."""
    if isinstance(objective, CrossEntropy):
        exponential = np.exp(outputs - outputs.max(1, keepdims=True))
        return exponential / exponential.sum(1, keepdims=True)
    if isinstance(objective, BinaryCrossEntropy | SigmoidMeanSquaredError):
        one = 1 / (1 + np.exp(-outputs[:, 0]))
        return np.stack([1 - one, one], axis=1)
    return None


def reference_preds(objective: Objective, outputs: np.ndarray, classes: int) -> list[int]:
    """Apply the decision rules as the lecture states them, a point at a time."""
    if isinstance(objective, MeanSquaredError):
        return [min(range(classes), key=lambda label: abs(y - label)) for y in outputs[:, 0]]
    if isinstance(objective, BinaryCrossEntropy | SigmoidMeanSquaredError):
        return [int(z > 0) for z in outputs[:, 0]]
    return [int(np.argmax(row)) for row in outputs]


def linear_reference(x: np.ndarray, mass: np.ndarray) -> float:
    """Return the accuracy of the classifier that takes each class for a normal one of the pooled covariance."""
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
    """Return the population metrics by a loop over points and classes."""
    x, mass = (tensor.numpy() for tensor in distribution.population(resolution))
    outputs = network(torch.tensor(x)).double().numpy()
    preds, q = reference_preds(objective, outputs, distribution.classes), reference_probabilities(objective, outputs)
    accuracy = excess = gap = 0.0
    for point, pred in enumerate(preds):
        weight = math.fsum(mass[point])
        accuracy += mass[point, pred]
        if q is not None and weight > 0:
            for label in range(distribution.classes):
                if mass[point, label] > 0:
                    posterior = mass[point, label] / weight
                    excess += mass[point, label] * (math.log(posterior) - math.log(q[point, label]))
            gap += weight * abs(q[point, pred] - mass[point, pred] / weight)
    bayes = distribution.bayes_accuracy()
    metrics = {"population/accuracy": accuracy, "population/regret": bayes - accuracy, "bayes/accuracy": bayes}
    metrics["linear/accuracy"] = linear_reference(x, mass)
    if isinstance(objective, MeanSquaredError):
        metrics["ideal/accuracy"] = rounding_reference(mass)
    return metrics if q is None else metrics | {"population/excess_ce": excess, "population/calibration_error": gap}


def rounding_reference(mass: np.ndarray) -> float:
    """Return the accuracy of rounding the conditional mean of the label, point by point."""
    accuracy = 0.0
    for row in mass:
        if row.sum() > 0:
            mean = sum(label * share for label, share in enumerate(row)) / row.sum()
            accuracy += row[max(0, math.ceil(round(mean - 0.5, 9)))]
    return accuracy


# Population metrics.


@every_objective
@pytest.mark.parametrize("noise", NOISES)
def test_population_metrics_agree_with_a_loop(
    kind: Callable[[int], Objective], classes: int, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "RESOLUTION", 24)
    objective, distribution = kind(classes), make_distribution(classes, noise, samples_per_class=9)
    network = make_network(objective)
    metrics = Population(objective, distribution).metrics(network)
    assert metrics == pytest.approx(reference_metrics(network, objective, distribution, 24), rel=1e-9, abs=1e-12)
    assert 0.1 < metrics["population/accuracy"] < metrics["bayes/accuracy"] - 0.005  # so that every term counts


@pytest.mark.parametrize("classes", [2, 3])
def test_excess_ce_is_the_cross_entropy_less_the_entropy_as_simulated(classes: int) -> None:
    distribution, objective = make_distribution(classes, "gaussian"), CrossEntropy(classes)
    network = make_network(objective)
    points, target = (part.flatten(0, 1) for part in distribution.sample(generators(1) * 1500))
    q = predict(network(points), objective).probabilities
    assert q is not None
    label = target[:, None]
    difference = (distribution.posterior(points).gather(1, label).log() - q.gather(1, label).log())[:, 0]
    error = difference.std().item() / len(difference) ** 0.5
    metrics = Population(objective, distribution).metrics(network)
    assert abs(difference.mean().item() - metrics["population/excess_ce"]) < 4 * error
    assert error < 0.02 * metrics["population/excess_ce"]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_network_that_knows_the_posterior_has_nothing_left_to_learn(classes: int, noise: str) -> None:
    distribution = make_distribution(classes, noise, spacing=0.13)
    metrics = Population(CrossEntropy(classes), distribution).metrics(lambda x: distribution.posterior(x).log())
    assert metrics["population/accuracy"] == pytest.approx(distribution.bayes_accuracy(), abs=1e-9)
    assert metrics["population/regret"] == pytest.approx(0, abs=1e-9)
    assert metrics["population/excess_ce"] == pytest.approx(0, abs=1e-8)
    assert metrics["population/calibration_error"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("classes", [2, 4])
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


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("classes", "spacing"), [(2, 0.2), (3, 0.05), (4, 0.3), (3, 0.0)])
def test_the_bayes_rule_has_no_regret(classes: int, spacing: float, noise: str) -> None:
    distribution = make_distribution(classes, noise, spacing=spacing, label_order=list(reversed(range(classes))))
    network = lambda x: torch.nn.functional.one_hot(distribution.bayes_rule(x), classes).float()  # noqa: E731
    metrics = Population(OneHotMeanSquaredError(classes), distribution).metrics(network)
    assert metrics == {
        "population/accuracy": pytest.approx(distribution.bayes_accuracy(), abs=1e-9),
        "population/regret": pytest.approx(0, abs=1e-9),
        "bayes/accuracy": distribution.bayes_accuracy(),
        "linear/accuracy": metrics["linear/accuracy"],
    }


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("classes", [2, 4])
def test_linear_accuracy_is_that_of_linear_discriminant_analysis(classes: int, noise: str) -> None:
    distribution = make_distribution(classes, noise)
    points, target = (part.flatten(0, 1).numpy() for part in distribution.sample(generators(1) * 500))
    fitted = LinearDiscriminantAnalysis().fit(points, target)
    x, mass = distribution.population(population.RESOLUTION)
    labels = linear_discriminant(x, mass)
    reached = mass.gather(1, torch.tensor(fitted.predict(x.numpy()))[:, None]).sum().item()
    exact = Population(CrossEntropy(classes), distribution).metrics(lambda x: torch.zeros(len(x), classes))[
        "linear/accuracy"
    ]
    assert (labels.shape, labels.dtype) == ((len(x),), torch.int64)
    assert exact == pytest.approx(reached, abs=2e-3)
    assert exact == pytest.approx(linear_reference(x.numpy(), mass.numpy()), abs=1e-12)
    assert 1 / classes + 0.02 < exact < distribution.bayes_accuracy() - 0.005


def test_the_linear_discriminant_finds_a_straight_optimum() -> None:
    # Two classes on the corners of a square, told apart by the second feature, the first class twice as heavy.
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    mass = torch.tensor([[0.3, 0.05], [0.3, 0.05], [0.05, 0.1], [0.05, 0.1]], dtype=torch.float64)
    assert linear_discriminant(x, mass).tolist() == [0, 0, 1, 1]
    rare = torch.tensor([[0.36, 0.03], [0.36, 0.03], [0.08, 0.03], [0.08, 0.03]], dtype=torch.float64)
    assert linear_discriminant(x, rare).tolist() == [0, 0, 0, 0]  # a class so rare that its prior outweighs the rest


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


@every_objective
def test_regret_is_never_negative(kind: Callable[[int], Objective], classes: int) -> None:
    objective = kind(classes)
    for noise in NOISES:
        distribution = make_distribution(classes, noise, samples_per_class=10)
        stack = make_stack(objective, seeds=4)
        for seed in range(4):
            metrics = Population(objective, distribution).metrics(seed_network(stack, seed))
            assert metrics["population/regret"] >= -1e-12
            assert metrics.get("population/excess_ce", 0) >= -1e-12


def fitted(classes: int, seed: int, distribution: Distribution, regress: bool) -> Network:
    """Return a ReLU network with random trunk and a head fitted by least squares to a sample: jagged, but sensible."""
    shape = {"hidden": [50, 100, 50], "activation": "relu", "init": "kaiming", "init_std": 0.02}
    stack = MLP(2, 1 if regress else classes, generators(seed), **shape)
    x, target = distribution.sample(generators(seed))
    features: list[Tensor] = []
    hook = stack.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.no_grad():
        for layer in stack.trunk:
            layer.bias.normal_(0, 0.2, generator=generators(seed + 50)[0])
        stack(x.float())
        hook.remove()
        goal = target[0].double()[:, None] if regress else torch.nn.functional.one_hot(target[0], classes).double()
        design = features[0][0].double()
        ridge = design.T @ design + 1e-3 * torch.eye(design.shape[1], dtype=torch.float64)
        stack.head.weight[0] = torch.linalg.solve(ridge, design.T @ goal).float()
        stack.head.bias.zero_()
    network = seed_network(stack, 0)
    return lambda points: torch.cat([network(part) for part in points.split(2**16)])


@pytest.mark.parametrize(("classes", "regress", "seed"), [(2, False, 0), (2, False, 1), (4, False, 0), (4, True, 1)])
def test_population_accuracy_has_converged_to_1e_4(
    classes: int, regress: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = MeanSquaredError(classes) if regress else OneHotMeanSquaredError(classes)
    distribution = make_distribution(classes)
    network = fitted(classes, seed, distribution, regress)
    assert population.RESOLUTION == 512
    usual = Population(objective, distribution).metrics(network)["population/accuracy"]
    monkeypatch.setattr(population, "RESOLUTION", 8192)
    fine = Population(objective, distribution).metrics(network)["population/accuracy"]
    assert usual == pytest.approx(fine, abs=1e-4)
    assert 0.6 * distribution.bayes_accuracy() < fine < distribution.bayes_accuracy() - 1e-3  # a boundary of its own


# Metrics on the splits.


def make_split(distribution: Distribution, seed: int, size: int) -> Split:
    x, target = distribution.sample(generators(seed))
    return Split(x[:, -size:].float(), target[:, -size:])


def reference_loss(objective: Objective, outputs: np.ndarray, target: np.ndarray) -> float:
    classes = range(outputs.shape[1] if outputs.shape[1] > 1 else 2)
    q = reference_probabilities(objective, outputs)
    if isinstance(objective, SoftmaxCrossEntropy):
        q = reference_probabilities(CrossEntropy(len(classes)), q)
    if isinstance(objective, CrossEntropy | BinaryCrossEntropy):
        return float(log_loss(target, q, labels=list(classes)))
    if isinstance(objective, SigmoidMeanSquaredError):
        return float(brier_score_loss(target, q[:, 1]))
    wanted = target[:, None] if isinstance(objective, MeanSquaredError) else np.eye(outputs.shape[1])[target]
    return float(mean_squared_error(wanted, outputs))


@every_objective
def test_split_metrics_agree_with_scikit_learn(kind: Callable[[int], Objective], classes: int) -> None:
    objective, distribution = kind(classes), make_distribution(classes)
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


def test_accuracy_of_the_slides_is_exact() -> None:
    preds, target = torch.zeros(32, dtype=torch.long), torch.tensor([0] * 23 + [1] * 9)
    split = Split(torch.nn.functional.one_hot(preds, 2).float()[None], target[None])
    assert split_metrics("test", lambda outputs: outputs, split, OneHotMeanSquaredError(2), 2) == {
        "test/loss": 9 / 32,
        "test/accuracy": 0.71875,
        "test/correct": 23,
        "test/count": 32,
    }


@every_objective
def test_a_split_of_several_parts_has_the_metrics_of_one(
    kind: Callable[[int], Objective], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, split = kind(classes), make_split(make_distribution(classes), 0, 64)
    network = make_network(objective)
    whole = split_metrics("train", network, split, objective, classes)
    assert whole["train/loss"] == objective.loss(network(split.x[0])[None], split.target).item()  # of one part: bitwise
    monkeypatch.setattr(classification, "MAX_BLOCK", 15)  # four parts, and one of four points
    assert split_metrics("train", network, split, objective, classes) == pytest.approx(whole, rel=1e-6)


@every_objective
def test_evaluate_has_every_metric_as_a_plain_number(kind: Callable[[int], Objective], classes: int) -> None:
    objective, distribution = kind(classes), make_distribution(classes, samples_per_class=10)
    network = make_network(objective)
    metrics = compute_metrics(
        network, objective, distribution, make_split(distribution, 0, 8), make_split(distribution, 1, 5)
    )
    names = ["train/loss", "train/accuracy", "test/loss", "test/accuracy", "test/correct", "test/count"]
    names += ["population/accuracy", "population/regret", "bayes/accuracy", "linear/accuracy"]
    names += ["ideal/accuracy"] * hasattr(objective, "ideal")
    if objective.probabilities(network(torch.zeros(5, 2))[None]) is not None:
        names += ["population/excess_ce", "population/calibration_error"]
    assert list(metrics) == names
    assert {type(value) for value in metrics.values()} == {int, float}
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


# Predictions and one seed of a stack.


@every_objective
def test_predict_applies_decision_and_probabilities(kind: Callable[[int], Objective], classes: int) -> None:
    objective = kind(classes)
    outputs = torch.randn(50, objective.out_features, generator=generators(0)[0]) * 2
    predictions = predict(outputs, objective)
    assert predictions.preds.tolist() == reference_preds(objective, outputs.double().numpy(), classes)
    expected = reference_probabilities(objective, outputs.double().numpy())
    if expected is None:
        assert predictions.probabilities is None
    else:
        assert predictions.probabilities is not None
        assert predictions.probabilities.dtype == torch.float64
        np.testing.assert_allclose(predictions.probabilities.numpy(), expected, rtol=1e-12)


def test_small_probabilities_survive_single_precision_outputs() -> None:
    predictions = predict(torch.tensor([[0.0, -300.0], [-300.0, 0.0]]), CrossEntropy(2))
    assert predictions.probabilities is not None
    assert predictions.probabilities.min().item() == pytest.approx(math.exp(-300), rel=1e-9)
    assert predict(torch.tensor([[-300.0]]), BinaryCrossEntropy(2)).probabilities.tolist() == [
        [1, pytest.approx(math.exp(-300), rel=1e-9)]
    ]


def test_a_network_that_is_certain_and_wrong_has_a_large_but_finite_excess() -> None:
    distribution = make_distribution(2)
    certain = Population(CrossEntropy(2), distribution).metrics(lambda x: torch.tensor([1e6, 0.0]).expand(len(x), 2))
    assert 300 < certain["population/excess_ce"] < 400  # half of the points, at about -ln of the smallest double
    assert certain["population/accuracy"] == pytest.approx(0.5, abs=1e-12)


def test_each_seed_of_a_stack_is_the_network_that_it_is_in_the_stack() -> None:
    stack = make_stack(CrossEntropy(3), seeds=4)
    x = torch.randn(4, 30, 2, generator=generators(0)[0])
    with torch.no_grad():
        together = stack(x)
    for index in range(4):
        outputs = seed_network(stack, index)(x[index])
        assert outputs.shape == (30, 3)
        assert not outputs.requires_grad
        torch.testing.assert_close(outputs, together[index], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


def test_a_seed_of_a_stack_is_bitwise_the_network_alone() -> None:
    x, _ = make_distribution(2).population(64)
    stacked = seed_network(make_stack(CrossEntropy(2), seeds=3), 0)(x)
    alone = seed_network(make_stack(CrossEntropy(2), seeds=1), 0)(x)
    assert alone.dtype == torch.float32
    assert torch.equal(stacked, alone)


def test_a_network_in_double_precision_is_evaluated_in_double_precision() -> None:
    network = seed_network(make_stack(CrossEntropy(2)).double(), 0)
    assert network(torch.zeros(3, 2)).dtype == torch.float64
