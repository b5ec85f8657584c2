from typing import Any

import pytest

from src.utils.seeds import PURPOSES, SEED_KEYS, seeds_problem

GOOD = [0, 7, 2**63 - 1, [0], [3, 1, 2], (4, 5)]
BAD = [-1, 1.0, 2.5, True, "0", None, 2**63, [], [1, 1], [0, -1], [0, "1"], [[0]], {"a": 1}]


def test_purposes_are_the_settings_that_a_user_can_pin() -> None:
    assert PURPOSES == ("data", "split", "init", "shuffle")
    assert SEED_KEYS == ("seed", "seeds.data", "seeds.split", "seeds.init", "seeds.shuffle")


@pytest.mark.parametrize(("value", "good"), [*((each, True) for each in GOOD), *((each, False) for each in BAD)])
def test_a_seed_or_a_list_of_different_seeds_is_no_problem(value: Any, good: bool) -> None:
    problem = seeds_problem("seed", value)
    assert (problem is None) == good
    assert good or ((problem.name, problem.value) == ("seed", value) and "from 0 to 2^63 - 1" in problem.rule)
