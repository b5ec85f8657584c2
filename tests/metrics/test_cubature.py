import math

import numpy as np
import pytest

from src.metrics import cubature
from src.metrics.cubature import adaptive_weights
from tests.metrics.references import Floats

AXES = np.linspace(-1, 1, 21), np.linspace(-2, 2, 31)
CORNERS = np.stack(np.meshgrid(*AXES, indexing="ij"), axis=-1).reshape(-1, 2)


def integral(function, tolerance: float) -> tuple[float, int]:  # type: ignore[no-untyped-def]
    """Return the integral of a function and the number of points."""
    points = [CORNERS]

    def evaluate(place: Floats) -> Floats:
        points.append(place)
        return function(place)

    weights = adaptive_weights(AXES, function(CORNERS), evaluate, tolerance)
    return float(weights @ function(np.concatenate(points))), len(weights)


def test_cubic_functions_are_integrated_exactly_on_the_grid() -> None:
    found, number = integral(lambda x: 1 + x[:, 0] ** 2 * x[:, 1] ** 2 + x[:, 0] ** 3 * x[:, 1], 0.01)
    assert found == pytest.approx(8 + 2 / 3 * 16 / 3, abs=1e-12)
    assert number == len(CORNERS)


def test_a_jump_is_integrated_with_an_error_of_the_smallest_panels() -> None:
    disc = lambda x: (((x - [0.1, 0.2]) ** 2).sum(1) < 0.49).astype(float)  # noqa: E731
    (coarse, few), (fine, many) = integral(disc, 1.0), integral(disc, 1e-6)
    expected = math.pi * 0.49
    assert few == len(CORNERS) < many < 20 * len(CORNERS)
    assert abs(fine - expected) < 6e-3 < abs(coarse - expected)


def test_a_function_that_is_noise_is_not_cut_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubature, "MAX_PANELS", 300)
    found, number = integral(lambda x: np.sin(1e9 * x[:, 0]) * np.sin(1.1e9 * x[:, 1]), 1e-9)
    assert abs(found) < 0.5
    assert number < 20 * len(CORNERS)
