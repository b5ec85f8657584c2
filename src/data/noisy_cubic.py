"""The noisy cubic: C bands of points around y = 3x^3 + 2x^2 + 5x, one band a class."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from src.checks import Problem, check, choice, number, whole

NOISES = ("uniform", "gaussian")


def cubic(x: Tensor) -> Tensor:
    """Return 3x^3 + 2x^2 + 5x, which increases everywhere.

    Example:
        >>> cubic(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-6.,  0., 10.])
    """
    return ((3 * x + 2) * x + 5) * x


class NoisyCubic:
    r"""C bands of points around a cubic.

    x runs over a fixed grid of ``points`` values in [-10, 10), and y = 3x^3 + 2x^2 + 5x; both are min-max normalised
    over that grid. At every x, each class has one point: (x, y + c + noise), where c is the centre of its band. Band
    k = 0, ..., C-1, from the top, is centred at ``spacing * ((C - 1) / 2 - k)``.

    Args:
        classes: Number of classes C, at least 2.
        points: Grid values of x, at least 2; a sample has N = points * C points.
        noise: ``uniform`` on [-half_width, half_width], or ``gaussian`` of the same standard deviation,
            half_width / sqrt(3).
        half_width: Half-width of a band, in normalised units, above 0.
        spacing: Distance between the centres of neighbouring bands, at least 0.
        label_order: Which label sits on which band, from the top; None for 0, ..., C-1.

    Raises:
        SettingsError: If an argument is out of its range.

    Example:
        >>> law = NoisyCubic(2, points=80, noise="uniform", half_width=0.2, spacing=0.2, label_order=None)
        >>> law.bayes_accuracy()
        0.75
    """

    features = 2

    def __init__(
        self,
        classes: int,
        *,
        points: int,
        noise: str,
        half_width: float,
        spacing: float,
        label_order: Sequence[int] | None,
    ) -> None:
        check(whole("classes", classes, least=2))
        check(
            whole("points", points, least=2),
            choice("noise", noise, NOISES),
            number("half_width", half_width, above=0),
            number("spacing", spacing, least=0),
            _permutation(label_order, classes),
        )
        self.classes = classes
        self.points = points
        self.size = points * classes
        self.noise = noise
        self.half_width = half_width
        self.spacing = spacing
        bands = torch.arange(classes, dtype=torch.float64)
        labels = torch.arange(classes) if label_order is None else torch.tensor(label_order)
        self.centres = torch.empty(classes, dtype=torch.float64)  # (C,), by label
        self.centres[labels] = spacing * ((classes - 1) / 2 - bands)
        self._raw = -10 + torch.arange(points, dtype=torch.float64) * (20 / points)  # (points,)

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise, the same for both kinds."""
        return self.half_width / math.sqrt(3)

    def curve(self, x1: Tensor) -> Tensor:
        """Return the normalised cubic at normalised x1, of any shape."""
        low, high = self._raw[0], self._raw[-1]
        bottom, top = cubic(low), cubic(high)
        return (cubic(low + x1.double() * (high - low)) - bottom) / (top - bottom)

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Draw one data set a generator, stored x by x with the classes 0, ..., C-1 in turn at each x.

        Args:
            generators: One generator a seed.

        Returns:
            x (S, N, 2), float64, and target (S, N), int64.
        """
        x1 = self._grid()  # (points,)
        centre_line = self.curve(x1)[:, None] + self.centres  # (points, C)
        x = torch.empty(len(generators), self.points, self.classes, 2, dtype=torch.float64)
        x[..., 0] = x1[:, None]
        for row, generator in zip(x, generators, strict=True):
            row[..., 1] = centre_line + self._noise(centre_line.shape, generator)
        target = torch.arange(self.classes).repeat(len(generators), self.points)  # (S, N)
        return x.flatten(1, 2), target

    def posterior(self, x: Tensor) -> Tensor:
        """Return P(class | x): (..., 2) -> (..., C).

        Where no class has any density (uniform noise, outside every band) all classes get 1 / C.
        """
        distance = self._distance(x)  # (..., C)
        if self.noise == "gaussian":
            return torch.softmax(-0.5 * (distance / self.deviation).square(), dim=-1)
        inside = (distance.abs() <= self.half_width).double()
        total = inside.sum(-1, keepdim=True)
        return torch.where(total > 0, inside / total.clamp_min(1), 1 / self.classes)

    def bayes_rule(self, x: Tensor) -> Tensor:
        """Return the label of the nearest band: (..., 2) -> (...); optimal for both kinds of noise."""
        return self._distance(x).abs().argmin(-1)

    def bayes_accuracy(self) -> float:
        """Return the Bayes accuracy in closed form.

        Uniform: the bands cover the length 2h + (C-1) min(spacing, 2h), each point of which is worth the density
        1 / (2hC). Gaussian: a class is missed beyond the midpoints to its neighbours, so the accuracy is
        1 - 2 (C-1)/C * Phi(-spacing / (2 sd)).
        """
        if self.noise == "uniform":
            return (1 + (self.classes - 1) * min(1.0, self.spacing / (2 * self.half_width))) / self.classes
        tail = 0.5 * math.erfc(self.spacing / (2 * self.deviation) / math.sqrt(2))
        return 1 - 2 * (self.classes - 1) / self.classes * tail

    def population(self, resolution: int) -> tuple[Tensor, Tensor]:
        """Return weighted points that integrate the law.

        At each x the support of y is cut into about ``resolution`` cells whose edges include every place where a
        density or the Bayes rule jumps. A cell's point is its middle, its masses are exact; hence the integral is
        exact for the Bayes rule, and off by at most a cell for each other jump of a classifier.

        Args:
            resolution: Cells in y for each x, at least 1. A grid of more x values than that is thinned to
                ``resolution`` evenly spread ones.

        Returns:
            x (M, 2) and mass (M, C), float64; the masses sum to 1.
        """
        grid = self._grid()
        kept = min(self.points, resolution)
        x1 = grid[(torch.arange(kept) * self.points + self.points // 2) // kept]
        edges = self._cell_edges(resolution)  # (cells + 1,)
        middle = (edges[1:] + edges[:-1]) / 2  # (cells,)
        below = self._cdf(edges[:, None] - self.centres)  # (cells + 1, C)
        below[0], below[-1] = 0, 1  # the outer cells take the tails
        mass = below.diff(dim=0) / (self.classes * kept)  # (cells, C)
        x2 = self.curve(x1)[:, None] + middle  # (kept, cells)
        x = torch.stack([x1[:, None].expand_as(x2), x2], dim=-1)
        return x.flatten(0, 1), mass.repeat(kept, 1)

    def _grid(self) -> Tensor:
        return (self._raw - self._raw[0]) / (self._raw[-1] - self._raw[0])

    def _noise(self, shape: torch.Size, generator: Generator) -> Tensor:
        if self.noise == "gaussian":
            return self.deviation * torch.randn(shape, generator=generator, dtype=torch.float64)
        return self.half_width * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)

    def _distance(self, x: Tensor) -> Tensor:
        """Signed distance in y to the centre of each class's band: (..., 2) -> (..., C)."""
        return (x[..., 1].double() - self.curve(x[..., 0]))[..., None] - self.centres

    def _cdf(self, noise: Tensor) -> Tensor:
        if self.noise == "gaussian":
            return torch.special.ndtr(noise / self.deviation)
        return ((noise / self.half_width + 1) / 2).clamp(0, 1)

    def _cell_edges(self, resolution: int) -> Tensor:
        """Cut the range of y around the cubic at every jump, then each piece evenly."""
        centres = self.centres.sort().values
        reach = 6 * self.deviation if self.noise == "gaussian" else self.half_width
        jumps = torch.cat([centres - reach, centres + reach, (centres[1:] + centres[:-1]) / 2])
        scale = reach + self.spacing
        jumps = torch.unique((jumps / scale).round(decimals=12)) * scale
        total = jumps[-1] - jumps[0]
        pieces = []
        for low, high in zip(jumps[:-1].tolist(), jumps[1:].tolist(), strict=True):
            cells = max(1, math.ceil(resolution * (high - low) / total))
            pieces.append(torch.linspace(low, high, cells + 1, dtype=torch.float64)[:-1])
        return torch.cat([*pieces, jumps[-1:]])


def _permutation(label_order: Sequence[int] | None, classes: int) -> Problem | None:
    rule = f"null or a permutation of 0, ..., {classes - 1}"
    if label_order is None:
        return None
    listed = list(label_order) if isinstance(label_order, list | tuple) else []
    good = all(type(label) is int for label in listed) and sorted(listed) == [*range(classes)]
    return None if good else Problem("label_order", rule, label_order)
