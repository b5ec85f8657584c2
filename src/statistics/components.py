"""Variance components of a crossed design, and the variance that a finite test set adds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESIDUAL = "residual"


@dataclass(frozen=True)
class VarianceComponents:
    """Variance components of a crossed design.

    Attributes:
        estimates: Unbiased estimate of each component by name, single factors first, then interactions such as
            ``data:init``, and last ``residual``; the estimate of a small component is often below 0.
    """

    estimates: dict[str, float]

    @property
    def total(self) -> float:
        """Unbiased estimate of the variance of one run with a new level of every factor: the sum."""
        return math.fsum(self.estimates.values())

    @property
    def shares(self) -> dict[str, float]:
        """The estimates, truncated at 0, over their sum; NaN where that is 0."""
        truncated = {name: max(0.0, value) for name, value in self.estimates.items()}
        total = math.fsum(truncated.values())
        return {name: value / total if total > 0 else math.nan for name, value in truncated.items()}


def variance_components(values: ArrayLike, factors: Sequence[str]) -> VarianceComponents:
    r"""Return the mean-square estimates of the components of a balanced random-effects crossed design.

    The model is a sum of independent effects of mean 0, one for each non-empty set S of factors, whose variance is the
    component of S. With MS_S the mean square of S and n_f the levels of factor f, the expected mean squares
    (Searle, Casella and McCulloch 1992, chapter 4)

    .. math:: E[MS_S] = \sum_{T \supseteq S} \sigma_T^2 \prod_{f \notin T} n_f

    are solved by

    .. math:: \hat\sigma_S^2 = \sum_{T \supseteq S} (-1)^{|T| - |S|} \, MS_T \Big/ \prod_{f \notin S} n_f .

    Args:
        values: One number per cell, with one axis per factor, each of at least two levels.
        factors: Name of each axis, two or more.

    Returns:
        The components. The interaction of all factors is called ``residual``, as one run per cell cannot separate it
        from noise.

    Raises:
        ValueError: If the shape does not fit the factors, a factor has one level, or a cell is empty (NaN).

    Example:
        >>> variance_components([[1.0, 2.0], [4.0, 5.0]], ("data", "init")).estimates
        {'data': 4.5, 'init': 0.5, 'residual': 0.0}
    """
    table = np.asarray(values, dtype=float)
    _check_design(table, factors)
    axes = range(table.ndim)
    sets = [chosen for size in range(1, table.ndim + 1) for chosen in combinations(axes, size)]
    squares = {chosen: _mean_square(table, chosen) for chosen in sets}
    estimates = {}
    for chosen in sets:
        signed = [(-1) ** (len(s) - len(chosen)) * squares[s] for s in sets if set(s) >= set(chosen)]
        repeats = math.prod(table.shape[axis] for axis in axes if axis not in chosen)
        name = RESIDUAL if len(chosen) == table.ndim else ":".join(factors[axis] for axis in chosen)
        estimates[name] = math.fsum(signed) / repeats
    return VarianceComponents(estimates)


def _mean_square(table: NDArray[np.floating], chosen: tuple[int, ...]) -> float:
    """Return the mean square of the main effect or interaction of some axes."""
    effect = table
    for axis in range(table.ndim):
        mean = effect.mean(axis=axis, keepdims=True)
        effect = effect - mean if axis in chosen else mean
    freedom = math.prod(table.shape[axis] - 1 for axis in chosen)
    return float((effect**2).sum()) * (table.size / effect.size) / freedom


def _check_design(table: NDArray[np.floating], factors: Sequence[str]) -> None:
    if table.ndim != len(factors) or table.ndim < 2:
        raise ValueError(f"Expected `values` to have one axis per factor of {list(factors)}, got {table.ndim} axes.")
    if single := [name for name, levels in zip(factors, table.shape, strict=True) if levels < 2]:
        raise ValueError(f"Expected each factor to have at least 2 levels, got fewer for {', '.join(single)}.")
    if not np.isfinite(table).all():
        raise ValueError(f"Expected a number in every cell, got {int((~np.isfinite(table)).sum())} empty cells.")


@dataclass(frozen=True)
class AccuracyVariance:
    """The variance of test accuracy over runs, and its parts.

    Attributes:
        n: Number of runs.
        test: Variance of test accuracy; NaN where n < 2.
        population: Variance of population accuracy; NaN where n < 2.
        binomial: Variance that a finite test set adds; NaN where n = 0.
    """

    n: int
    test: float
    population: float
    binomial: float

    @property
    def rest(self) -> float:
        """Difference between the variance and its parts: estimation error and violated assumptions."""
        return self.test - self.population - self.binomial

    @property
    def share(self) -> float:
        """Binomial share of the variance, by chance above 1; NaN where the variance is 0 or NaN."""
        return self.binomial / self.test if self.test > 0 else math.nan


def accuracy_variance(test_accuracy: ArrayLike, population_accuracy: ArrayLike, count: ArrayLike) -> AccuracyVariance:
    r"""Split the variance of test accuracy into that of population accuracy and that of a finite test set.

    .. math:: Var(test) = Var(p) + E[p (1 - p) / count]

    This is the law of total variance if the test samples of a network of population accuracy p are independent draws
    from the distribution. It is an approximation for a test set that is split off one sample on a grid, for two
    reasons. The samples are drawn without replacement, which makes the binomial part a few percent too large. And
    what is in the test set is missing from the training set, so test accuracy is lower on average than p and covaries
    with it: in 300 runs of the default problem (ce; C = 2 and C = 4) it was lower by 2.8 points, Var(test - p) was
    0.82 and 0.91 of the binomial part, and the rest 7 and 6 % of the variance, not significantly different from 0.

    Args:
        test_accuracy: Test accuracy of each run, (n,).
        population_accuracy: Population accuracy of the same runs, p, (n,).
        count: Test samples of each run, (n,), or one number for all.

    Returns:
        The parts, over the runs that have both accuracies and test samples. The standard error of a variance over 20
        runs is a third of it, so with few runs the parts need not add up.

    Example:
        >>> parts = accuracy_variance([0.66, 0.78, 0.72, 0.81], [0.70, 0.74, 0.71, 0.75], 32)
        >>> print(f"{parts.test:.4f} = {parts.population:.4f} + {parts.binomial:.4f} + {parts.rest:.4f}")
        0.0044 = 0.0006 + 0.0062 + -0.0024
    """
    columns = [np.asarray(each, dtype=float) for each in (test_accuracy, population_accuracy, count)]
    test, population, samples = np.broadcast_arrays(*columns)
    known = np.isfinite(test) & np.isfinite(population) & (samples > 0)
    test, population, samples = test[known], population[known], samples[known]
    n = len(test)
    return AccuracyVariance(
        n=n,
        test=float(test.var(ddof=1)) if n > 1 else math.nan,
        population=float(population.var(ddof=1)) if n > 1 else math.nan,
        binomial=float((population * (1 - population) / samples).mean()) if n else math.nan,
    )
