import math
from collections.abc import Callable

import numpy as np
import pytest

from src.metrics import boundary, changes
from src.metrics.boundary import Boundary, trace
from tests.metrics.references import Floats

AXIS = np.linspace(-1, 1, 11)


def traced(*decide: Callable[[Floats], Floats], density: float = 1.0, tolerance: float = 1e-9) -> Boundary:
    """Return the boundaries between the decisions of some scores on a square of side 2."""

    def field(place: Floats, owner: Floats) -> tuple[Floats, Floats]:
        scores = np.stack([own(place) for own in decide])[owner, np.arange(len(place))]
        return scores, scores.argmax(1)

    corners = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), -1)
    scores = np.stack([own(corners.reshape(-1, 2)).reshape(*corners.shape[:2], -1) for own in decide])
    return trace(field, lambda place: np.full(len(place), density), (AXIS, AXIS), scores, scores.argmax(-1), tolerance)[
        0
    ]


def two(signed: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda place: np.stack([np.zeros(len(place)), signed(place)], axis=1)


def area(found: Boundary, label: int) -> float:
    """Return the area of what is decided for a label that does not reach the sides of the square."""
    weight = (found.left == label).astype(float) - (found.right == label)
    cross = found.start[:, 0] * found.end[:, 1] - found.start[:, 1] * found.end[:, 0]
    return float(weight @ cross) / 2


def length(found: Boundary) -> float:
    """Return the length of the boundaries, without the sides of triangles that were cut."""
    between = (found.left >= 0) & (found.right >= 0)
    return float(np.linalg.norm(found.end - found.start, axis=1)[between].sum())


def test_a_straight_boundary_is_found_with_the_decisions_on_its_sides() -> None:
    found = traced(two(lambda place: place @ [0.6, 0.8] - 0.1234))
    for points in (found.start, found.end):
        np.testing.assert_allclose(points @ [0.6, 0.8], 0.1234, atol=1e-7)
    assert length(found) == pytest.approx(2 / 0.8, rel=1e-6)  # from the left side to the right one
    middle, ahead = (found.start + found.end) / 2, found.end - found.start
    left = middle + 1e-3 * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.linalg.norm(ahead, axis=1)[:, None]
    np.testing.assert_array_equal(found.left, left @ [0.6, 0.8] > 0.1234)
    np.testing.assert_array_equal(found.right, 1 - found.left)


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7, 1e-9])
def test_a_circle_is_followed_to_the_tolerance(tolerance: float) -> None:
    found = traced(two(lambda place: 0.7**2 - (place**2).sum(1)), tolerance=tolerance)
    assert area(found, 1) == pytest.approx(math.pi * 0.49, abs=500 * tolerance)  # for some hundred segments
    assert length(found) == pytest.approx(2 * math.pi * 0.7, rel=1e-2)


def test_a_coarser_tolerance_has_fewer_segments_and_no_mass_none() -> None:
    circle = two(lambda place: (place**2).sum(1) - 0.7**2)
    fine, coarse, empty = (len(traced(circle, density=density).left) for density in (1.0, 1e-3, 1e-12))
    assert fine > 2 * coarse > 2 * empty > 0


def test_the_boundaries_of_several_classifiers_are_those_of_each() -> None:
    line, circle = two(lambda place: place[:, 0] - 0.05), two(lambda place: (place**2).sum(1) - 0.5)
    together = traced(line, circle)
    for owner, alone in enumerate((traced(line), traced(circle))):
        own = together.of(owner)
        assert set(own.owner) == {owner}
        for name in ("start", "end", "left", "right"):
            np.testing.assert_array_equal(getattr(own, name), getattr(alone, name))


@pytest.mark.parametrize("width", [0.03, 1e-3, 1e-5])
def test_both_sides_of_a_thin_strip_are_found(width: float) -> None:
    inside = lambda place: width / 2 - np.abs(place @ [0.6, 0.8] - 0.1)  # noqa: E731
    found = traced(two(lambda place: np.minimum(inside(place), 0.83 - np.abs(place[:, 0]))))
    assert area(found, 1) == pytest.approx(width * 1.66 / 0.8, abs=1e-6)
    assert length(found) == pytest.approx(2 * (1.66 / 0.8 + width / 0.8), rel=1e-2)


def test_the_tip_of_a_strip_is_found_by_cutting_triangles() -> None:
    # A wedge with its tip in the middle of a triangle, of the area 0.01 * 0.6^2.
    def inside(place: Floats) -> Floats:
        ahead, aside = (place - [0.33, 0.27]) @ [0.8, 0.6], (place - [0.33, 0.27]) @ [-0.6, 0.8]
        return np.minimum(0.01 * ahead - np.abs(aside), 0.6 - ahead)

    assert area(traced(two(inside)), 1) == pytest.approx(0.01 * 0.6**2, abs=1e-7)


def test_three_decisions_meet_in_a_point() -> None:
    centre, angles = np.array([0.037, 0.061]), np.radians([20, 140, 260])
    directions = np.stack([np.cos(angles), np.sin(angles)])
    found = traced(lambda place: (place - centre) @ directions)
    between = (found.left >= 0) & (found.right >= 0)
    scores = ((found.start + found.end)[between] / 2 - centre) @ directions
    rows = np.arange(len(scores))
    for side in (found.left[between], found.right[between]):
        behind = scores.max(1) - scores[rows, side]
        assert behind.max() < 2e-3  # where the three meet
        assert np.quantile(behind, 0.95) < 1e-6
    assert {*zip(found.left[between], found.right[between], strict=True)} >= {(1, 0), (2, 1), (0, 2)}
    assert 2.7 < length(found) < 4.3  # three ways from the centre to the sides


def test_decisions_that_are_noise_are_not_cut_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (boundary, changes):
        monkeypatch.setattr(module, "MAX_ITEMS", 2**9)
    found = traced(two(lambda place: np.sin(1e9 * place[:, 0]) + np.sin(1.1e9 * place[:, 1])))
    assert 0 < len(found.left) < 2**16
