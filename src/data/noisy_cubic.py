"""The noisy cubic: C bands of samples around y = 3x^3 + 2x^2 + 5x, one band per class."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from src.data.label_noise import Labels, crossings, flip_problem, priors_problem
from src.data.protocols import MAX_SAMPLES, MAX_SCALE, Distribution
from src.utils.validation import Problem, check, choice, number, whole

NOISES = ("uniform", "gaussian")


def cubic(x: Tensor) -> Tensor:
    """Return 3x^3 + 2x^2 + 5x, which increases everywhere.

    Example:
        >>> cubic(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-6.,  0., 10.])
    """
    return ((3 * x + 2) * x + 5) * x


class NoisyCubic(Distribution):
    r"""C bands of samples around a cubic.

    x runs over a fixed grid of ``samples_per_class`` values in [-10, 10), and y = 3x^3 + 2x^2 + 5x; both are min-max
    normalised over that grid. At every x, each class has one sample: (x, y + c + noise), where c is the centre of its
    band. Band k = 0, ..., C-1, from the top, is centred at ``spacing * ((C - 1) / 2 - k)``. With ``priors``, the
    classes of the C samples at every x are drawn from them instead.

    Args:
        classes: Number of classes C, at least 2.
        samples_per_class: Grid values of x, at least 2; a data set has N = samples_per_class * C samples.
        noise: ``uniform`` on [-half_width, half_width], or ``gaussian`` of the same standard deviation,
            half_width / sqrt(3).
        half_width: Half-width of a band, in normalised units, above 0.
        spacing: Distance between the centres of neighbouring bands, at least 0.
        label_order: Which label sits on which band, from the top; None for 0, ..., C-1.
        priors: P(class), (C,), all above 0, with a sum of one; None for one sample of each class at every x.
        flip: Share of wrong labels, one for all classes or one per class, each in [0, (C-1)/C); a wrong label is any
            other with the same probability.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> shape = {"noise": "uniform", "half_width": 0.2, "spacing": 0.2, "label_order": None}
        >>> round(NoisyCubic(2, samples_per_class=80, priors=None, flip=0, **shape).bayes_accuracy(), 12)
        0.75
        >>> round(NoisyCubic(2, samples_per_class=80, priors=None, flip=0.1, **shape).bayes_accuracy(), 12)
        0.7
    """

    features = 2

    def __init__(
        self,
        classes: int,
        *,
        samples_per_class: int,
        noise: str,
        half_width: float,
        spacing: float,
        label_order: Sequence[int] | None,
        priors: Sequence[float] | None,
        flip: float | Sequence[float],
    ) -> None:
        check(whole("classes", classes, min_value=2))
        check(
            whole("samples_per_class", samples_per_class, min_value=2, max_value=MAX_SAMPLES),
            choice("noise", noise, NOISES),
            number("half_width", half_width, above=0, below=MAX_SCALE),
            number("spacing", spacing, min_value=0, below=MAX_SCALE),
            _permutation(label_order, classes),
            priors_problem(priors, classes),
            flip_problem(flip, classes),
        )
        self.labels = Labels(classes, priors=priors, flip=flip)
        self.classes = classes
        self.samples_per_class = samples_per_class
        self.size = samples_per_class * classes
        self.noise = noise
        self.half_width = half_width
        self.spacing = spacing
        bands = torch.arange(classes, dtype=torch.float64)
        labels = torch.arange(classes) if label_order is None else torch.tensor(label_order)
        self.centres = torch.empty(classes, dtype=torch.float64)  # (C,), by label
        self.centres[labels] = spacing * ((classes - 1) / 2 - bands)
        self._low, self._high = self._raw(0), self._raw(samples_per_class - 1)

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise, the same for both kinds."""
        return self.half_width / math.sqrt(3)

    def curve(self, x1: Tensor) -> Tensor:
        """Return the normalised cubic at normalised x1, of any shape."""
        bottom, top = cubic(self._low), cubic(self._high)
        return (cubic(self._low + x1.double() * (self._high - self._low)) - bottom) / (top - bottom)

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Draw one data set per generator, by x and, without priors, by class: x (S, N, 2), target (S, N)."""
        shape = (self.samples_per_class, self.classes)
        x = torch.empty(len(generators), *shape, 2, dtype=torch.float64)
        x[..., 0] = self._grid()[:, None]
        curve = self.curve(x[0, :, :1, 0])  # (samples_per_class, 1)
        target = torch.arange(self.classes).expand(len(generators), *shape).clone()
        for row, label, generator in zip(x, target, generators, strict=True):
            noise = self._noise(shape, generator)
            if not self.labels.balanced:
                label.copy_(self.labels.draw_classes(shape, generator))
            row[..., 1] = noise.add_(self.centres[label].add_(curve))  # in place, as data sets may be large
            del noise
            self.labels.mislabel(label, generator)
        return x.flatten(1, 2), target.flatten(1, 2)

    def posterior(self, x: Tensor) -> Tensor:
        """Return P(label | x): (..., 2) -> (..., C).

        Where no class has any density (uniform noise, outside every band) the classes have their priors.
        """
        distance = self._distance(x)  # (..., C)
        priors = self.labels.priors
        if self.noise == "gaussian":
            return self.labels.observed(torch.softmax(priors.log() - self._exponent(distance), dim=-1))
        inside = self._inside(distance) * priors
        total = inside.sum(-1, keepdim=True)
        return self.labels.observed(torch.where(total > 0, inside / total, priors))

    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return the label of the largest posterior, on ties that of the nearest band: (..., 2) -> (...)."""
        distance = self._distance(x)
        if self.noise == "gaussian":
            return (self._exponent(distance) - self.labels.weights.log()).argmin(-1)
        density = self._inside(distance) * self.labels.weights
        ties = 1 - 1e-12  # tolerance for floating-point ties
        best = density >= density.amax(-1, keepdim=True) * ties
        return torch.where(best, distance.abs(), math.inf).argmin(-1)

    def bayes_accuracy(self) -> float:
        r"""Return the Bayes accuracy in closed form: \int max_j weights_j f_j + \sum_k pi_k flip_k / (C-1).

        Between neighbouring edges, of bands or of the Bayes rule, one label is best, and the integral of its density is
        a difference of its cumulative distribution function.
        """
        inside = self._mass_between(self._edges()) * self.labels.weights
        return float(inside.amax(1).sum()) + self.labels.missed

    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return weighted points that integrate the distribution.

        At each x the support of y is cut into about ``resolution`` cells whose edges include every place where a
        density or the Bayes rule jumps. Each cell is represented by its centre, and its masses are exact. So the
        integral is exact for the Bayes rule, and off by at most one cell for every other jump of a classifier.

        Args:
            resolution: Cells in y for each x, at least 1. A grid of more x values than that is thinned to
                ``resolution`` evenly spread ones.

        Returns:
            x (M, 2) and mass (M, C), float64; the masses sum to 1.
        """
        x1 = self.lines(resolution)
        kept = len(x1)
        edges = self.cell_edges(resolution)  # (cells + 1,)
        middle = (edges[1:] + edges[:-1]) / 2  # (cells,)
        mass = self.labels.observed(self._mass_between(edges) * self.labels.priors) / kept  # (cells, C)
        x2 = self.curve(x1)[:, None] + middle  # (kept, cells)
        x = torch.stack([x1[:, None].expand_as(x2), x2], dim=-1)
        return x.flatten(0, 1), mass.repeat(kept, 1)

    def lines(self, count: int) -> Tensor:
        """Return the x of the grid, or ``count`` evenly spread ones of a grid of more: (lines,)."""
        kept = min(self.samples_per_class, count)
        return self._grid()[(torch.arange(kept) * self.samples_per_class + self.samples_per_class // 2) // kept]

    def cell_edges(self, count: int) -> Tensor:
        """Return the edges of some ``count`` cells of y around the cubic, in each of which every density is smooth."""
        jumps = self._edges()
        total = jumps[-1] - jumps[0]
        pieces = []
        for low, high in zip(jumps[:-1].tolist(), jumps[1:].tolist(), strict=True):
            cells = max(1, math.ceil(count * (high - low) / total))
            pieces.append(torch.linspace(low, high, cells + 1, dtype=torch.float64)[:-1])
        return torch.cat([*pieces, jumps[-1:]])

    def mass_below(self, noise: Tensor) -> Tensor:
        """Return P(class, y - cubic <= noise), which is the same at every x: (...) -> (..., C)."""
        return self.labels.observed(self._below(noise) * self.labels.priors)

    def joint_density(self, noise: Tensor) -> Tensor:
        """Return the density of y - cubic and class, which is the same at every x: (...) -> (..., C)."""
        distance = noise[..., None] - self.centres
        if self.noise == "gaussian":
            density = (-self._exponent(distance)).exp() / (self.deviation * math.sqrt(2 * math.pi))
        else:
            density = self._inside(distance) / (2 * self.half_width)
        return self.labels.observed(density * self.labels.priors)

    def _raw(self, index: int | Tensor) -> Tensor:
        return -10 + torch.as_tensor(index, dtype=torch.float64) * (20 / self.samples_per_class)

    def _grid(self) -> Tensor:
        return (self._raw(torch.arange(self.samples_per_class)) - self._low) / (self._high - self._low)

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        if self.noise == "gaussian":
            return torch.randn(shape, generator=generator, dtype=torch.float64).mul_(self.deviation)
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return unit.mul_(2).sub_(1).mul_(self.half_width)

    def _distance(self, x: Tensor) -> Tensor:
        """Signed distance in y to the centre of each class's band: (..., 2) -> (..., C)."""
        return (x[..., 1].double() - self.curve(x[..., 0]))[..., None] - self.centres

    def _inside(self, distance: Tensor) -> Tensor:
        return (distance.abs() <= self.half_width).double()

    def _exponent(self, distance: Tensor) -> Tensor:
        return 0.5 * (distance / self.deviation).square()

    def _mass_between(self, edges: Tensor) -> Tensor:
        """Return each class's mass between neighbouring edges of y around the cubic; the outer cells take the tails."""
        below = self._below(edges)
        below[0], below[-1] = 0, 1
        return below.diff(dim=0)  # (cells, C)

    def _below(self, noise: Tensor) -> Tensor:
        """Return P(y - cubic <= noise | class): (...) -> (..., C)."""
        distance = noise[..., None] - self.centres
        if self.noise == "gaussian":
            return torch.special.ndtr(distance / self.deviation)
        return ((distance / self.half_width + 1) / 2).clamp(0, 1)

    def _edges(self) -> Tensor:
        """Return every place in y around the cubic where a density or the Bayes rule jumps, and the ends, in order."""
        extent = 6 * self.deviation if self.noise == "gaussian" else self.half_width
        centres = self.centres.sort().values
        low, high = centres[0] - extent, centres[-1] + extent
        changes = (centres[1:] + centres[:-1]) / 2
        if self.noise == "gaussian":
            changes = crossings(self.centres, self.labels.weights, self.deviation)
        jumps = torch.cat([centres - extent, centres + extent, changes[(changes > low) & (changes < high)]])
        scale = extent + self.spacing
        return torch.unique((jumps / scale).round(decimals=12)) * scale


def _permutation(label_order: Sequence[int] | None, classes: int) -> Problem | None:
    rule = f"null or a permutation of 0, ..., {classes - 1}"
    if label_order is None:
        return None
    listed = list(label_order) if isinstance(label_order, list | tuple) else []
    good = all(type(label) is int for label in listed) and sorted(listed) == [*range(classes)]
    return None if good else Problem("label_order", rule, label_order)
