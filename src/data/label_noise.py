"""Class priors and label noise."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from src.utils.validation import Problem, check, number

_SUM_TOLERANCE = 1e-6  # of the sum of the priors, by which they are then divided


class Labels:
    r"""Class priors and label noise, which turn densities of classes into posteriors of labels.

    A sample of class k has the density f_k. Its label is k, except for a share flip_k of the samples, whose label is
    one of the other C-1 with equal probability. With the priors pi, label j then has the joint density

        pi_j (1 - flip_j) f_j + \sum_{k != j} pi_k flip_k f_k / (C-1) = weights_j f_j + \sum_k pi_k flip_k f_k / (C-1)

    with weights_j = pi_j (1 - flip_j C/(C-1)). The last sum is the same for all labels, so the Bayes rule is the j of
    the largest weights_j f_j, as long as a label is right more often than by chance.

    Args:
        classes: Number of classes C.
        priors: P(class), (C,), all above 0, with a sum of one; None for 1 / C each.
        flip: Share of wrong labels, one for all classes or one per class, each in [0, (C-1)/C).

    Attributes:
        priors: P(class), (C,), float64.
        weights: (C,), float64, above 0.
        missed: \sum_k pi_k flip_k / (C-1), the share of mislabelled samples in every label.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> labels = Labels(2, priors=[0.25, 0.75], flip=0.1)
        >>> labels.observed(torch.tensor([[0.25, 0.0], [0.0, 0.75]], dtype=torch.float64))
        tensor([[0.2250, 0.0250],
                [0.0750, 0.6750]], dtype=torch.float64)
    """

    def __init__(self, classes: int, *, priors: Sequence[float] | None, flip: float | Sequence[float]) -> None:
        check(priors_problem(priors, classes), flip_problem(flip, classes))
        self.balanced = priors is None
        given = torch.tensor([1] * classes if priors is None else priors, dtype=torch.float64)
        self.priors = given / given.sum()
        self.flip = torch.tensor(flip, dtype=torch.float64).expand(classes)
        self.weights = self.priors * (1 - self.flip * classes / (classes - 1))
        self.missed = float((self.priors * self.flip).sum() / (classes - 1))
        self._others = self.flip / (classes - 1)  # (C,), P(another given label | class)

    def observed(self, joint: Tensor) -> Tensor:
        """Turn masses or probabilities of classes into those of labels: (..., C) -> (..., C)."""
        kept = joint * (1 - self.flip - self._others)
        return kept + (joint * self._others).sum(-1, keepdim=True)

    def draw_classes(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Draw classes from the priors, int64."""
        drawn = torch.multinomial(self.priors, math.prod(shape), replacement=True, generator=generator)
        return drawn.view(shape)

    def mislabel(self, target: Tensor, generator: Generator) -> None:
        """Make some labels of any shape wrong, in place; the generator does not advance if flip is 0."""
        if not self.flip.any():
            return
        wrong = torch.rand(target.shape, generator=generator, dtype=torch.float64) < self.flip[target]
        step = torch.randint(1, len(self.flip), target.shape, generator=generator).mul_(wrong)
        target.add_(step).remainder_(len(self.flip))


def crossings(centres: Tensor, weights: Tensor, deviation: float) -> Tensor:
    """Return where the largest of some weighted Gaussian densities changes from one to the next.

    The logarithms of densities of one deviation differ from straight lines by a common square; the higher the centre,
    the steeper the line. The crossings are the corners of the upper envelope of these lines.

    Args:
        centres: Means, (C,).
        weights: Factors, (C,), above 0.
        deviation: Their standard deviation.

    Returns:
        The crossings in rising order, at most C-1.

    Example:
        >>> crossings(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), 1.0)
        tensor([1.], dtype=torch.float64)
    """
    heaviest = dict(sorted(zip(centres.tolist(), weights.log().tolist(), strict=True)))  # of equal centres
    lines = list(heaviest.items())
    leading, since = lines[:1], [-math.inf]
    for centre, log in lines[1:]:
        while True:
            before, other = leading[-1]
            crossing = (centre + before) / 2 + deviation**2 * (other - log) / (centre - before)
            if crossing > since[-1]:
                break
            leading, since = leading[:-1], since[:-1]
        leading, since = [*leading, (centre, log)], [*since, crossing]
    return torch.tensor(since[1:], dtype=torch.float64)


def priors_problem(priors: Any, classes: int) -> Problem | None:
    """Return a problem unless these are None or probabilities of the classes."""
    if priors is None:
        return None
    listed = list(priors) if isinstance(priors, list | tuple) else []
    good = len(listed) == classes and all(number("", prior, above=0) is None for prior in listed)
    good = good and abs(math.fsum(listed) - 1) <= _SUM_TOLERANCE
    return None if good else Problem("priors", f"null or {classes} numbers above 0 that sum to 1", priors)


def flip_problem(flip: Any, classes: int) -> Problem | None:
    """Return a problem unless this is a share of wrong labels, or a list with one per class."""
    listed = list(flip) if isinstance(flip, list | tuple) else [flip] * classes
    highest = (classes - 1) / classes
    good = len(listed) == classes and all(number("", rate, min_value=0, below=highest) is None for rate in listed)
    rule = f"a number at least 0 and below {highest:.4g}, where labels are pure chance, or a list of {classes} such"
    return None if good else Problem("flip", rule, flip)
