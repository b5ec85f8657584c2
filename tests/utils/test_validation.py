import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils.validation import Problem, SettingsError, check, choice, flag, number, whole

few = settings(max_examples=100, deadline=None, derandomize=True)
floats = st.floats(allow_subnormal=False)  # which training flushes to zero
bounds = st.floats(-2, 2, allow_subnormal=False)
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), floats, st.text(max_size=3), st.lists(st.integers(), max_size=2)
)


@pytest.mark.parametrize("value", [2, 3, 10**30])
def test_whole_accepts_whole_numbers_from_the_least(value: int) -> None:
    assert whole("classes", value, least=2) is None


@pytest.mark.parametrize("value", [1, 0, -2, 2.0, 2.5, True, None, "2", [2], math.nan, math.inf])
def test_whole_refuses_everything_else(value: Any) -> None:
    assert whole("classes", value, least=2) == Problem("classes", "a whole number of at least 2", value)


def test_a_bool_is_no_whole_number_even_where_one_is_allowed() -> None:
    assert whole("seed", True, least=0) is not None
    assert number("lr", True, least=0) is not None


def test_whole_has_an_upper_bound_that_is_allowed() -> None:
    assert whole("digits", 9, least=0, most=9) is None
    assert whole("digits", 10, least=0, most=9) == Problem("digits", "a whole number from 0 to 9", 10)


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "rule"),
    [
        ({"above": 0}, [1e-300, 1, 1e300], [0, -1, -0.0], "a number above 0"),
        ({"least": 0}, [0, -0.0, 0.5], [-1e-300, -1], "a number at least 0"),
        ({"below": 1}, [-1e300, 0.999], [1, 1.5], "a number below 1"),
        ({"above": 0, "below": 1}, [0.2], [0, 1], "a number above 0 and below 1"),
        ({"least": 0, "below": 1}, [0, 0.2], [-0.1, 1], "a number at least 0 and below 1"),
        ({}, [-1, 0, 1e-300], [], "a number"),
    ],
)
def test_number_knows_open_and_closed_bounds(bounds: Any, good: list[Any], bad: list[Any], rule: str) -> None:
    for value in good:
        assert number("x", value, **bounds) is None
    for value in [*bad, math.nan, math.inf, -math.inf, True, None, "0.5", [0.5], 10**400, -(10**400)]:
        assert number("x", value, **bounds) == Problem("x", rule, value)


def test_choice_lists_the_options() -> None:
    assert choice("noise", "uniform", ("uniform", "gaussian")) is None
    problem = choice("noise", "cauchy", iter(("uniform", "gaussian")))
    assert str(problem) == 'Expected `noise` to be one of uniform, gaussian, got "cauchy".'
    assert choice("noise", ["uniform"], ("uniform", "gaussian")) is not None


@pytest.mark.parametrize("value", [True, False])
def test_flag_accepts_bools(value: bool) -> None:
    assert flag("resume", value) is None


@pytest.mark.parametrize("value", [0, 1, None, "true"])
def test_flag_refuses_everything_else(value: Any) -> None:
    assert flag("resume", value) == Problem("resume", "true or false", value)


def test_all_problems_are_raised_together_a_line_each() -> None:
    with pytest.raises(SettingsError) as caught:
        check(None, whole("classes", 1, least=2), number("lr", 0.1, above=0), number("share", 1, below=1))
    assert str(caught.value).splitlines() == [
        "Expected `classes` to be a whole number of at least 2, got 1.",
        "Expected `share` to be a number below 1, got 1.",
    ]
    assert [problem.name for problem in caught.value.problems] == ["classes", "share"]


def test_no_problem_raises_nothing() -> None:
    check()
    check(None, None)


@few
@given(anything, st.integers(-3, 3))
def test_whole_agrees_with_its_definition(value: Any, least: int) -> None:
    good = type(value) is int and value >= least
    assert (whole("x", value, least=least) is None) == good


@few
@given(anything, bounds, bounds)
def test_number_agrees_with_its_definition(value: Any, low: float, high: float) -> None:
    good = type(value) in (int, float) and low < value < high
    assert (number("x", value, above=low, below=high) is None) == good


@few
@given(anything)
def test_every_problem_is_one_line_that_names_setting_rule_and_value(value: Any) -> None:
    line = str(Problem("group.name", "such and such", value))
    assert len(line.splitlines()) == 1
    shown = json.dumps(value, ensure_ascii=False)
    for end in "\x85\u2028\u2029":
        shown = shown.replace(end, f"\\u{ord(end):04x}")
    assert line == f"Expected `group.name` to be such and such, got {shown}."
