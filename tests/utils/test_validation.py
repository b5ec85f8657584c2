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


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "rule"),
    [
        ({"min_value": 2}, [2, 3, 10**30], [1, 0, -2, 2.0, 2.5, "2", [2]], "a whole number of at least 2"),
        ({"min_value": 0, "max_value": 9}, [0, 9], [-1, 10, 0.0], "a whole number from 0 to 9"),
    ],
)
def test_whole_takes_integers_within_its_bounds(bounds: Any, good: list[Any], bad: list[Any], rule: str) -> None:
    for value in good:
        assert whole("classes", value, **bounds) is None
    for value in [*bad, math.nan, math.inf, True, None]:
        assert whole("classes", value, **bounds) == Problem("classes", rule, value)


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "rule"),
    [
        ({"above": 0}, [1e-300, 1, 1e300], [0, -1, -0.0], "a number above 0"),
        ({"min_value": 0, "below": 1}, [0, -0.0, 0.2, 0.999], [-1e-300, 1, 1.5], "a number at least 0 and below 1"),
        ({}, [-1, 0, 1e-300], [], "a number"),
    ],
)
def test_number_takes_finite_numbers_within_its_bounds(bounds: Any, good: list[Any], bad: list[Any], rule: str) -> None:
    for value in good:
        assert number("x", value, **bounds) is None
    for value in [*bad, math.nan, math.inf, -math.inf, True, None, "0.5", [0.5], 10**400, -(10**400)]:
        assert number("x", value, **bounds) == Problem("x", rule, value)


@few
@given(anything, st.integers(-3, 3), bounds, bounds)
def test_whole_and_number_agree_with_their_definitions(value: Any, min_value: int, low: float, high: float) -> None:
    assert (whole("x", value, min_value=min_value) is None) == (type(value) is int and value >= min_value)
    good = type(value) in (int, float) and low < value < high
    assert (number("x", value, above=low, below=high) is None) == good


def test_choice_and_flag_name_their_options() -> None:
    assert choice("noise", "uniform", ("uniform", "gaussian")) is None
    problem = choice("noise", "cauchy", iter(("uniform", "gaussian")))
    assert str(problem) == 'Expected `noise` to be one of uniform, gaussian, got "cauchy".'
    assert choice("noise", ["uniform"], ("uniform", "gaussian")) is not None
    assert flag("resume", True) is None
    assert flag("resume", False) is None
    for value in (0, 1, None, "true"):
        assert flag("resume", value) == Problem("resume", "true or false", value)


def test_all_problems_are_raised_together_on_one_line_each() -> None:
    check()
    check(None, None)
    with pytest.raises(SettingsError) as caught:
        check(None, whole("classes", 1, min_value=2), number("lr", 0.1, above=0), number("share", 1, below=1))
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert [problem.name for problem in caught.value.problems] == ["classes", "share"]


@few
@given(anything)
def test_every_problem_is_one_line_with_setting_rule_and_value(value: Any) -> None:
    line = str(Problem("group.name", "such and such", value))
    assert len(line.splitlines()) == 1
    shown = json.dumps(value, ensure_ascii=False)
    for end in "\x85\u2028\u2029":
        shown = shown.replace(end, f"\\u{ord(end):04x}")
    assert line == f"Expected `group.name` to be such and such, got {shown}."
