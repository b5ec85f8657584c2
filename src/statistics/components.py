"""Where variance comes from: the components of a crossed design, and the part that a finite test set adds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FACTORS = ("data", "init", "shuffle")
RESIDUAL = "residual"


@dataclass(frozen=True)
class Components:
    """Variance components of a crossed design.

    Attributes:
        estimates: Unbiased estimate of each component by name, single factors first, then pairs such as ``data:init``,
            and last ``residual``, the interaction of all factors; one that is truly small is often estimated below 0.
    """

    estimates: dict[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The components, in order."""
        return tuple(self.estimates)

    @property
    def total(self) -> float:
        """Unbiased estimate of the variance of one run of which every factor is drawn anew: the sum."""
        return math.fsum(self.estimates.values())

    @property
    def truncated(self) -> dict[str, float]:
        """The estimates with 0 for those below 0: for drawing, no longer unbiased."""
        return {name: max(0.0, value) for name, value in self.estimates.items()}

    @property
    def shares(self) -> dict[str, float]:
        """The truncated estimates over their sum; NaN where that is 0."""
        truncated = self.truncated
        total = math.fsum(truncated.values())
        return {name: value / total if total > 0 else math.nan for name, value in truncated.items()}


def estimate(values: ArrayLike, factors: Sequence[str] = FACTORS) -> Components:
    """Estimate the variance components of a crossed design with one run a cell.

    Args:
        values: One number for each combination of the factors' levels, such as (D, I, K) for D data seeds, I
            initialisations and K shuffles.
        factors: Name of each axis, two or more.

    Returns:
        The components; the interaction of all factors is called ``residual``, as nothing can tell it from noise within
        a cell.

    Raises:
        ValueError: See ``variance_components``.
    """
    components = variance_components(values, factors)
    *others, highest = components
    return Components({**{name: components[name] for name in others}, RESIDUAL: components[highest]})


def variance_components(values: ArrayLike, factors: Sequence[str]) -> dict[str, float]:
    r"""Return the mean-square estimate of every component of a balanced random-effects crossed design.

    The model is a sum of independent effects of mean 0, one for each non-empty set S of factors, whose variance is the
    component of S. With MS_S the mean square of S and n_f the levels of factor f, the expected mean squares
    (Searle, Casella and McCulloch 1992, chapter 4)

    .. math:: E[MS_S] = \sum_{T \supseteq S} \sigma_T^2 \prod_{f \notin T} n_f

    are solved by

    .. math:: \hat\sigma_S^2 = \sum_{T \supseteq S} (-1)^{|T| - |S|} \, MS_T \Big/ \prod_{f \notin S} n_f .

    Args:
        values: One number a cell, of as many axes as there are factors, each of at least two levels.
        factors: Name of each axis.

    Returns:
        The component of each set of factors, by its names joined with colons; single factors first. Unbiased, and so
        possibly below 0.

    Raises:
        ValueError: If the shape does not fit the factors, a factor has one level, or a cell is empty (NaN).

    Example:
        >>> variance_components([[1.0, 2.0], [4.0, 5.0]], ("data", "init"))
        {'data': 4.5, 'init': 0.5, 'data:init': 0.0}
    """
    table = np.asarray(values, dtype=float)
    _check_design(table, factors)
    axes = range(table.ndim)
    sets = [chosen for size in range(1, table.ndim + 1) for chosen in combinations(axes, size)]
    squares = {chosen: _mean_square(table, chosen) for chosen in sets}
    components = {}
    for chosen in sets:
        signed = [(-1) ** (len(s) - len(chosen)) * squares[s] for s in sets if set(s) >= set(chosen)]
        repeats = math.prod(table.shape[axis] for axis in axes if axis not in chosen)
        components[":".join(factors[axis] for axis in chosen)] = math.fsum(signed) / repeats
    return components


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
        raise ValueError(f"Expected `values` to have an axis for each of {list(factors)}, got {table.ndim} axes.")
    if single := [name for name, levels in zip(factors, table.shape, strict=True) if levels < 2]:
        raise ValueError(f"Expected each factor to have at least 2 levels, got fewer for {', '.join(single)}.")
    if not np.isfinite(table).all():
        raise ValueError(f"Expected a number in each cell, got {int((~np.isfinite(table)).sum())} without one.")


@dataclass(frozen=True)
class Spread:
    """What the variance of test accuracy over runs consists of.

    Attributes:
        n: Runs that count.
        measured: Variance of test accuracy (over n - 1); NaN where n < 2.
        population: Variance of population accuracy (over n - 1); NaN where n < 2.
        binomial: What a finite test set adds; NaN where n = 0.
    """

    n: int
    measured: float
    population: float
    binomial: float

    @property
    def rest(self) -> float:
        """What is left: the error of the two variances, and whatever is not as ``test_set_spread`` assumes."""
        return self.measured - self.population - self.binomial

    @property
    def share(self) -> float:
        """Part of the measured variance that is binomial, by chance above 1; NaN where that is 0 or NaN."""
        return self.binomial / self.measured if self.measured > 0 else math.nan


def test_set_spread(test_accuracy: ArrayLike, population_accuracy: ArrayLike, count: ArrayLike) -> Spread:
    r"""Split the variance of test accuracy into that of population accuracy and that of a finite test set.

    .. math:: Var(test) = Var(p) + E[p (1 - p) / count]

    This is the law of total variance where, given a trained network of population accuracy p, its test points are
    independent draws from the distribution: E[test | network] = p, so test - p and p do not covary. For a test set that
    is a part of one sample on a grid it is an approximation, for two reasons. The points are drawn without replacement
    from N cells of a grid, in which the network is right with different probabilities: the binomial part is too large
    by (count - 1) / (N - 1) times their variance, over count, which is at most a few percent of it. And what the test
    set has, the training set lacks: around a test point the other classes are in the majority. So test accuracy is
    lower on average than p, and covaries with it: in 300 runs of the default problem (ce; C = 2 and C = 4) it was lower
    by 2.8 points, Var(test - p) was 0.82 and 0.91 of the binomial part, and the rest 7 and 6 % of what was measured,
    which 300 runs do not tell from 0.

    Args:
        test_accuracy: Of each run, (n,).
        population_accuracy: Of the same runs, p, (n,).
        count: Test points of each run, (n,), or one number for all.

    Returns:
        The parts. A run that lacks one of the accuracies (NaN), or has no test points, does not count. A variance over
        20 runs has itself a standard error of a third, so at few runs the parts need not add up.

    Example:
        >>> spread = test_set_spread([0.66, 0.78, 0.72, 0.81], [0.70, 0.74, 0.71, 0.75], 32)
        >>> print(f"{spread.measured:.4f} = {spread.population:.4f} + {spread.binomial:.4f} + {spread.rest:.4f}")
        0.0044 = 0.0006 + 0.0062 + -0.0024
    """
    test, population, points = np.broadcast_arrays(
        np.asarray(test_accuracy, dtype=float),
        np.asarray(population_accuracy, dtype=float),
        np.asarray(count, dtype=float),
    )
    known = np.isfinite(test) & np.isfinite(population) & (points > 0)
    test, population, points = test[known], population[known], points[known]
    n = len(test)
    return Spread(
        n=n,
        measured=float(test.var(ddof=1)) if n > 1 else math.nan,
        population=float(population.var(ddof=1)) if n > 1 else math.nan,
        binomial=float((population * (1 - population) / points).mean()) if n else math.nan,
    )
