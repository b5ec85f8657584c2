import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from src.statistics.components import VarianceComponents, accuracy_variance, variance_components

FACTORS = ("data", "init", "shuffle")
NAMES = ("data", "init", "shuffle", "data:init", "data:shuffle", "init:shuffle", "residual")


def test_two_factors_worked_by_hand():
    # Rows 1 2 3 and 5 6 10, grand mean 4.5, row means 2 and 7, column means 3, 4 and 6.5.
    # MS_data = 3 (2.5^2 + 2.5^2) = 37.5; MS_init = 2 (1.5^2 + 0.5^2 + 2^2) / 2 = 6.5;
    # residuals 0.5 0.5 -1 and their negatives: MS = 3 / 2 = 1.5
    found = variance_components([[1, 2, 3], [5, 6, 10]], ("data", "init"))
    assert found.estimates == pytest.approx({"data": (37.5 - 1.5) / 3, "init": (6.5 - 1.5) / 2, "residual": 1.5})


def test_three_factors_are_those_of_an_analysis_of_variance():
    levels = {"D": 5, "I": 4, "K": 3}
    values = np.random.default_rng(0).normal(size=tuple(levels.values()))
    index = np.indices(values.shape).reshape(3, -1)
    table = pd.DataFrame({"y": values.ravel(), **dict(zip(levels, index, strict=True))})
    model = ols("y ~ C(D) + C(I) + C(K) + C(D):C(I) + C(D):C(K) + C(I):C(K)", table).fit()
    squares = anova_lm(model)["mean_sq"].to_dict()
    d, i, k = levels.values()
    residual = squares["Residual"]
    di, dk, ik = (squares[f"C({pair[0]}):C({pair[1]})"] for pair in ("DI", "DK", "IK"))
    expected = {
        "data": (squares["C(D)"] - di - dk + residual) / (i * k),
        "init": (squares["C(I)"] - di - ik + residual) / (d * k),
        "shuffle": (squares["C(K)"] - dk - ik + residual) / (d * i),
        "data:init": (di - residual) / k,
        "data:shuffle": (dk - residual) / i,
        "init:shuffle": (ik - residual) / d,
        "residual": residual,
    }
    found = variance_components(values, FACTORS).estimates
    assert found == pytest.approx(expected)
    assert tuple(found) == NAMES


def test_four_factors_have_fifteen_components():
    values = np.random.default_rng(0).normal(size=(2, 3, 2, 3))
    found = variance_components(values, ("a", "b", "c", "d")).estimates
    assert len(found) == 15
    assert list(found)[:5] == ["a", "b", "c", "d", "a:b"]
    assert list(found)[-1] == "residual"


def test_one_factor_alone_has_all_variance():
    values = np.broadcast_to(np.array([1.0, 2.0, 4.0])[:, None, None], (3, 2, 2))
    found = variance_components(values, FACTORS)
    assert found.estimates == pytest.approx({name: np.var([1, 2, 4], ddof=1) * (name == "data") for name in NAMES})
    assert found.shares == pytest.approx({name: float(name == "data") for name in NAMES})
    assert found.total == pytest.approx(np.var([1, 2, 4], ddof=1))


def test_negative_estimates_are_cut_for_drawing_only():
    found = VarianceComponents({"data": 3.0, "init": -1.0, "residual": 1.0})
    assert found.total == 3
    assert found.shares == {"data": 0.75, "init": 0, "residual": 0.25}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.permutations(range(3)), st.floats(-2, 2), st.floats(0.1, 3))
def test_estimates_follow_axes_shift_and_scale(seed: int, order: list[int], shift: float, scale: float):
    values = np.random.default_rng(seed).normal(size=(4, 3, 2))
    names = np.array(["data", "init", "shuffle"])
    before = variance_components(values, names.tolist()).estimates
    after = variance_components(shift + scale * values.transpose(order), names[order].tolist()).estimates
    keyed = {frozenset(name.split(":")): value for name, value in after.items()}
    for name, value in before.items():
        assert keyed[frozenset(name.split(":"))] == pytest.approx(scale**2 * value, abs=1e-9)


@pytest.mark.parametrize(
    ("values", "factors", "words"),
    [
        (np.zeros((3, 2)), ("a", "b", "c"), "one axis per factor of .* got 2 axes"),
        (np.zeros(3), ("a",), "one axis per factor"),
        (np.zeros((3, 1, 1)), ("a", "b", "c"), "at least 2 levels, got fewer for b, c"),
        (np.array([[1, math.nan], [1, 2]]), ("a", "b"), "a number in every cell, got 1 empty"),
    ],
)
def test_incomplete_designs_are_named(values: np.ndarray, factors: tuple[str, ...], words: str):
    with pytest.raises(ValueError, match=words):
        variance_components(values, factors)


def test_accuracy_variance_worked_by_hand():
    # var(0.5, 0.75) = 0.03125; var(0.6, 0.8) = 0.02; (0.24 / 10 + 0.16 / 20) / 2 = 0.016
    found = accuracy_variance([0.5, 0.75, 0.7, 0.1], [0.6, 0.8, math.nan, 0.2], [10, 20, 10, 0])
    assert found.n == 2
    assert (found.test, found.population, found.binomial) == pytest.approx((0.03125, 0.02, 0.016))
    assert found.rest == pytest.approx(0.03125 - 0.036)
    assert found.share == pytest.approx(0.016 / 0.03125)


def test_accuracy_variance_of_few_or_equal_runs_is_undefined():
    none, one = accuracy_variance([], [], 32), accuracy_variance([0.7], [0.75], 32)
    assert all(map(math.isnan, (none.test, none.population, none.binomial, none.rest, none.share)))
    assert all(map(math.isnan, (one.test, one.population, one.rest, one.share)))
    assert one.binomial == pytest.approx(0.75 * 0.25 / 32)
    equal = accuracy_variance([0.75, 0.75], [0.75, 0.75], 32)
    assert (equal.test, equal.population) == (0, 0)
    assert math.isnan(equal.share)
