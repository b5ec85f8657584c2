"""The protocol of objectives, which ``loss=`` selects."""

from typing import Protocol

from torch import Tensor

from src.utils.validation import Problem, check


class Objective(Protocol):
    """An output width, a loss, a decision rule and, where they exist, class probabilities.

    An objective is built from the number of classes C (and its own settings). It may also have a method
    ``gradient(outputs, target)``: the gradient of the seeds' summed loss with respect to the outputs in closed form,
    (S, B, O), (S, B) -> (S, B, O). Training is faster with it; without it, autograd differentiates the loss.

    One whose decision rule differs from the Bayes rule even for the minimiser of the expected loss may have
    ``ideal``: (M, C) -> (M,), the decisions for given posteriors, which the report draws.

    One may have ``scores``: (S, N, O) -> (S, N, C), continuous functions of the outputs of which the decision is the
    largest, and one with ``ideal`` also ``ideal_scores``: (M, C) -> (M, C). Places where the decision changes are found
    faster with them.

    One whose loss uses the order of the labels, as a regression on them does, has ``ordinal = True``; the labels of a
    table then have to be ordered.

    Attributes:
        out_features: Number of network outputs O.
    """

    out_features: int

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the samples of each seed: (S, B, O), (S, B) -> (S,)."""
        ...

    def decode(self, outputs: Tensor) -> Tensor:
        """Apply the decision rule: (S, N, O) -> (S, N), int64 in [0, C)."""
        ...

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """Return class probabilities: (S, N, O) -> (S, N, C), or None where the objective has none."""
        ...


class Scores:
    """C outputs, the largest of which decides, and no class probabilities: the rest of an objective is its loss.

    Args:
        classes: Number of classes C.
    """

    def __init__(self, classes: int) -> None:
        self.out_features = classes

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the class of the largest output, the lowest one on ties: (S, N, C) -> (S, N)."""
        return outputs.argmax(-1)

    def scores(self, outputs: Tensor) -> Tensor:
        """Return the outputs: (S, N, C) -> (S, N, C)."""
        return outputs

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """Return None: scores are not probabilities."""
        return None


def check_two_classes(classes: int, objective: str) -> None:
    """Raise unless there are two classes.

    Raises:
        SettingsError: If the objective is for two classes and there are others.
    """
    check(None if classes == 2 else Problem("classes", f"2 for the objective {objective}, which is binary", classes))
