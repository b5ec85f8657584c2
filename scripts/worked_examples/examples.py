"""Worked examples of the lecture: recomputed numbers against the printed ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy
from src.utils.normal import linear_scores, log_odds, log_posterior, shared_covariance

LOGITS = [(-0.0180, 0.0855), (-0.0244, 0.0741), (-0.0187, 0.0850), (-0.0258, 0.0687), (-0.0267, 0.0617)]
LABELS = [0, 0, 0, 1, 1]
PRINTED = {
    "exp(z1)": ["0.982", "0.976", "0.981", "0.975", "0.974"],
    "exp(z2)": ["1.089", "1.077", "1.089", "1.071", "1.064"],
    "sum": ["2.071", "2.053", "2.070", "2.046", "2.037"],
    "P(label)": ["0.474", "0.475", "0.474", "0.524", "0.522"],
    "-ln P(label)": ["0.74624", "0.74361", "0.74634", "0.64701", "0.64992"],
    "softmax z1": ["0.4742", "0.4754", "0.4741", "0.4764", "0.4779"],
    "softmax z2": ["0.5258", "0.5246", "0.5259", "0.5236", "0.5221"],
    "argmax": ["1"] * 5,
}
# The softmax was printed for logits with more digits than the slides show: theirs are off by up to 5e-5 each, and
# the slope of the softmax of two is at most 1/4.
SLACK = {"softmax z1": 2.5e-5, "softmax z2": 2.5e-5}
ANIMALS = ["cat", "dog", "fox", "cow", "red panda", "bear", "dolphin"]
TRUE = [0, 0, 0, 0, 1, 0, 0]
PREDICTED = [0.02, 0.30, 0.45, 0, 0.25, 0.05, 0]
ANIMAL_TERMS = ["0", "0", "0", "0", "1.386", "0", "0"]
COUNT = [79, 61]
MEAN = [(75.0, 71.3), (55.6, 59.8)]
COVARIANCE = [((874.0, 327.0), (327.0, 929.0)), ((847.0, 422.0), (422.0, 685.0))]
FLOORS = {2: "0.3133", 4: "0.7437"}  # of the double softmax, as the lecture's notes give them
EXACT = 1e-9


@dataclass(frozen=True)
class Number:
    """A computed number and its expected value."""

    computed: float  # by the functions of this project
    printed: str | float  # the digits on the slide, or an independent evaluation, which has to agree to 1e-9
    slack: float = 0.0  # by how much rounded input may move the number

    @property
    def agrees(self) -> bool:
        """Whether the computed number rounds to the printed digits."""
        whole = isinstance(self.printed, str) and "." not in self.printed
        tolerance = EXACT if whole or isinstance(self.printed, float) else 10.0**-self.decimals / 2
        return abs(self.computed - float(self.printed)) <= tolerance + self.slack

    @property
    def decimals(self) -> int:
        """Number of decimals of the expected value."""
        return 10 if isinstance(self.printed, float) else len(self.printed.partition(".")[2])

    def __str__(self) -> str:
        expected = f"{self.printed:.{self.decimals}f}" if isinstance(self.printed, float) else self.printed
        more = 2 if self.decimals and isinstance(self.printed, str) else 0
        return f"{self.computed:.{self.decimals + more}f} {'=' if self.agrees else 'IS NOT'} {expected}"


@dataclass(frozen=True)
class Example:
    """A table of numbers with named rows."""

    title: str  # heading
    columns: Sequence[str]  # names of its columns
    rows: dict[str, list[Number]]  # the cells by the name of their row

    @property
    def mismatches(self) -> list[str]:
        """One line for each number that differs from the expected one."""
        named = ((name, number) for name, numbers in self.rows.items() for number in numbers)
        return [f"{self.title}, {name}: {number}" for name, number in named if not number.agrees]


def double(values: object) -> Tensor:
    """Return numbers as a tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def cross_entropies() -> list[Example]:
    """Return the slides' table of cross-entropies and the numbers below it."""
    z, label, objective = double(LOGITS), torch.tensor(LABELS), CrossEntropy(classes=2)
    probability = objective.probabilities(z)
    rowwise = objective.loss(z[:, None], label[:, None])  # one seed per row
    preds = objective.decode(z)
    columns = {
        "exp(z1)": z[:, 0].exp(),
        "exp(z2)": z[:, 1].exp(),
        "sum": z.exp().sum(1),
        "P(label)": probability.gather(1, label[:, None])[:, 0],
        "-ln P(label)": rowwise,
        "softmax z1": probability[:, 0],
        "softmax z2": probability[:, 1],
        "argmax": preds,
    }
    rows = {
        f"{z1:.4f} {z2:.4f} {target}": [
            Number(columns[name][row].item(), PRINTED[name][row], SLACK.get(name, 0.0)) for name in PRINTED
        ]
        for row, ((z1, z2), target) in enumerate(zip(LOGITS, LABELS, strict=True))
    }
    correct = int((preds == label).sum())
    mean = objective.loss(z[None], label[None]).item()
    below = {
        "mean cross-entropy, in the table": [Number(mean, "0.706624521")],
        "mean cross-entropy, by torch": [Number(mean, "0.7066")],
        "correct": [Number(correct, "2")],
        "accuracy": [Number(correct / len(LABELS), "0.40")],
        "accuracy of 23 of 32 test samples": [Number(23 / 32, "0.72")],
        "accuracy of 21 of 32 test samples": [Number(21 / 32, "0.66")],
    }
    return [
        Example("Cross-entropy: z1, z2, label; and each column as computed = on the slides", list(PRINTED), rows),
        Example("Below the table", ["computed = slides"], below),
    ]


def information() -> list[Example]:
    """Return the table of animals, and the entropy of (0.75, 0.25)."""
    terms = 0 - torch.special.xlogy(double(TRUE), double(PREDICTED))  # as printed, the predictions sum to 1.07
    pairs = zip(ANIMALS, terms.tolist(), ANIMAL_TERMS, strict=True)
    rows = {name: [Number(term, printed)] for name, term, printed in pairs}
    rows["total: cross-entropy (nats)"] = [Number(terms.sum().item(), "1.386")]
    rows["entropy of (0.75, 0.25) (bits)"] = [Number(stats.entropy([0.75, 0.25], base=2), "0.81")]
    return [Example("Cross-entropy and entropy", ["computed = slides"], rows)]


def direct_posterior(x: Sequence[float], covariances: Sequence[Sequence[Sequence[float]]]) -> float:
    """Return P(C1 | x) of the two normal classes by Bayes' rule, as an independent reference."""
    joint = []
    for count, (m1, m2), ((a, b), (_, d)) in zip(COUNT, MEAN, covariances, strict=True):
        u, v, determinant = x[0] - m1, x[1] - m2, a * d - b * b
        squared = (d * u * u - 2 * b * u * v + a * v * v) / determinant
        joint.append(count / sum(COUNT) * math.exp(-squared / 2) / (2 * math.pi * math.sqrt(determinant)))
    return joint[0] / sum(joint)


def generative() -> list[Example]:
    """Return the priors of the Gaussian example, and its posteriors in every form that the slides derive."""
    prior, mean, covariance = double(COUNT) / sum(COUNT), double(MEAN), double(COVARIANCE)
    shared = shared_covariance(prior, covariance)
    weight, bias = linear_scores(prior, mean, shared)
    w, b = weight[0] - weight[1], bias[0] - bias[1]
    pooled = [[[float(cell) for cell in row] for row in shared]] * 2
    middle = tuple((first + second) / 2 for first, second in zip(*MEAN, strict=True))
    rows = {}
    for name, point in {"mean of class 1": MEAN[0], "mean of class 2": MEAN[1], "midpoint": middle}.items():
        x, expected, linear = double(point), direct_posterior(point, COVARIANCE), direct_posterior(point, pooled)
        rows[f"{name} ({point[0]:.4g}, {point[1]:.4g})"] = [
            Number(log_posterior(x, prior, mean, covariance)[0].exp().item(), expected),
            Number(torch.sigmoid(-log_odds(x, prior, mean, covariance)).item(), expected),
            Number(torch.sigmoid(w @ x + b).item(), linear),
        ]
    priors = {f"P(C{index + 1})": [Number(prior[index].item(), text)] for index, text in enumerate(("0.56", "0.44"))}
    columns = ["P(C1 | x) by Bayes = directly", "sigma(z) = directly", "shared: sigma(w.x + b) = directly"]
    return [
        Example("Priors", ["computed = slides"], priors),
        Example(
            f"Gaussian generative classifier, posteriors; shared covariance: w = ({w[0]:.6f}, {w[1]:.6f}), b = {b:.6f}",
            columns,
            rows,
        ),
    ]


def floors() -> list[Example]:
    """Return the minimum of the double softmax loss for 2 to 8 classes."""
    rows = {}
    for classes in range(2, 9):
        objective = SoftmaxCrossEntropy(classes)
        certain = objective.loss(double([[[1e3, *[0.0] * (classes - 1)]]]), torch.tensor([[0]])).item()
        formula = math.log(1 + (classes - 1) / math.e)
        rows[f"C = {classes}"] = [Number(certain, formula), Number(objective.floor, FLOORS.get(classes, formula))]
    return [Example("Floor of the double softmax", ["reached = ln(1 + (C-1)/e)", "stated = slides or formula"], rows)]


def all_examples() -> list[Example]:
    """Return the tables of all examples, in the order of the lecture."""
    return [*cross_entropies(), *information(), *generative(), *floors()]
