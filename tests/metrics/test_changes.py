import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from src.metrics.changes import Changes, Edges, find_changes
from tests.metrics.references import Floats

Scores = Callable[[Floats], Floats]


def search(
    *scores: Scores,
    bound: float = 10.0,
    falls: tuple[float, float] = (0.0, 0.0),
    tolerance: float = 1e-5,
    searches: int = 8,
) -> tuple[Changes, list[int]]:
    """Return the changes of some classifiers on edges from (0, 0) to (1, 0), and at how many points they are asked."""
    asked = []

    def field(place: Floats, owner: Floats) -> tuple[Floats, Floats]:
        asked.append(len(place))
        values = np.stack([own(place[:, 0]) for own in scores])[owner, np.arange(len(place))]
        return values, values.argmax(1)

    count = len(scores)
    ends = np.stack([own(np.array([0.0, 1.0])) for own in scores])  # (S, 2, C)
    start, step = np.zeros((count, 2)), np.tile([1.0, 0.0], (count, 1))
    change, own_falls = np.full(count, bound), np.tile(falls, (count, 1))
    edges = Edges(np.arange(count), start, step, ends, ends.argmax(-1), change, own_falls)
    return find_changes(field, edges, np.ones(count), tolerance, searches), asked


def two(lead: Scores) -> Scores:
    """Return scores of two classes of which the second one leads by a function."""
    return lambda x: np.stack([np.zeros(len(x)), lead(x)], axis=1)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
@pytest.mark.parametrize(
    "lead",
    [
        lambda x: np.tanh(9 * (x - 0.83)),
        lambda x: 0.2 - x**5,
        lambda x: np.exp(x) - 1.0005,
        lambda x: np.where(x < 0.3, -0.1, 5.0),
    ],
    ids=["tanh", "power", "exponential", "jump"],
)
def test_a_change_is_where_the_scores_meet(lead: Scores, tolerance: float) -> None:
    changes, _ = search(two(lead), tolerance=tolerance)
    [place], [before], [behind] = changes.place, changes.before, changes.behind
    expected = brentq(lambda x: lead(np.array([x]))[0], 0, 1, xtol=1e-14)
    assert place == pytest.approx(expected, abs=tolerance)
    assert (before, behind) == ((1, 0) if lead(np.array([0.0]))[0] > 0 else (0, 1))


def test_two_changes_between_equal_decisions_are_found() -> None:
    changes, _ = search(two(lambda x: 0.02 - np.abs(x - 0.37)))
    np.testing.assert_allclose(changes.place, [0.35, 0.39], atol=1e-5)
    np.testing.assert_array_equal(np.stack([changes.before, changes.behind]), [[0, 1], [1, 0]])


def test_each_classifier_has_its_own_changes_in_order() -> None:
    waves = [two(lambda x, turns=turns: np.sin(turns * math.pi * x + 0.4)) for turns in (1, 2, 3)]
    changes, _ = search(*waves, bound=40.0)
    expected = [(owner, (k - 0.4 / math.pi) / (owner + 1)) for owner in range(3) for k in range(1, owner + 2)]
    assert changes.edge.tolist() == [owner for owner, _ in expected]
    np.testing.assert_allclose(changes.place, [place for _, place in expected], atol=1e-5)
    for owner, wave in enumerate(waves):
        alone, _ = search(wave, bound=40.0)
        np.testing.assert_array_equal(changes.place[changes.edge == owner], alone.place)


@pytest.mark.parametrize("height", [0.07, -0.07], ids=["behind", "before"])
def test_a_change_beside_one_kink_is_found_at_once(height: float) -> None:
    # A straight line to a kink at 0.4, and another one from it, of which the neighbours of the edge tell the slopes.
    def lead(x: Floats) -> Floats:
        return height + np.where(x < 0.4, 0.9, 0.25) * (x - 0.4)

    changes, asked = search(two(lambda x: lead(x)), falls=(0.9, -0.25), searches=0)
    expected = 0.4 - height / (0.25 if height < 0 else 0.9)
    np.testing.assert_allclose(changes.place, [expected], atol=1e-12)
    assert asked == [1]


@pytest.mark.parametrize("width", [0.2, 0.01, 0.0002])
@pytest.mark.parametrize("centre", [0.15, 0.44, 0.87])
def test_a_third_decision_between_two_others_is_found(centre: float, width: float) -> None:
    slopes, share = np.array([-1.0, 0.3, 2.0]), 0.7
    # Straight scores, of which the third one meets the first before the second does.
    low, high = centre - share * width, centre + (1 - share) * width
    heights = np.array([0.0, -(slopes[1] - slopes[0]) * low, 0.0])
    heights[2] = heights[1] + (slopes[1] - slopes[2]) * high
    changes, _ = search(lambda x: heights + slopes * x[:, None])
    np.testing.assert_allclose(changes.place, [low, high], atol=1e-5)
    np.testing.assert_array_equal([changes.before, changes.behind], [[0, 1], [1, 2]])


def test_margins_that_differ_by_rounding_have_changes_too() -> None:
    """The outputs of a network whose decision hardly depends on its input are a staircase of rounding errors."""
    generator = np.random.default_rng(0)

    def staircase() -> Scores:
        slope, middle, noise = generator.uniform(-8, 8), generator.uniform(0.1, 0.9), generator.uniform(0, 2)
        return two(lambda x: np.round(slope * (x - middle) + noise * np.sin(7919 * x)))

    for falls in generator.uniform(0, 8, size=(40, 2)):
        leads = [staircase() for _ in range(50)]
        changes, _ = search(*leads, bound=40.0, falls=tuple(falls), tolerance=1e-9)
        ends = np.array([lead(np.array([0.0, 1.0])).argmax(-1) for lead in leads])  # (S, 2)
        assert (np.bincount(changes.edge, minlength=50) % 2 == (ends[:, 0] != ends[:, 1])).all()
        assert ((changes.place >= 0) & (changes.place <= 1)).all()
