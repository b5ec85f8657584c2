from typing import Any

import pytest

from src.utils.seeds import PURPOSES, SEED_KEYS, seeds_problem

BAD_SEEDS = [-1, 1.0, 2.5, True, "0", None, 2**63, [], [1, 1], [0, -1], [0, "1"], [[0]], {"a": 1}]


def test_purposes_are_the_settings_that_a_user_can_pin() -> None:
    assert PURPOSES == ("data", "split", "init", "shuffle")
    assert SEED_KEYS == ("seed", "seeds.data", "seeds.split", "seeds.init", "seeds.shuffle")


@pytest.mark.parametrize("value", BAD_SEEDS)
def test_what_is_neither_a_seed_nor_a_list_of_seeds_is_a_problem(value: Any) -> None:
    problem = seeds_problem("seed", value)
    assert problem is not None
    assert (problem.name, problem.value) == ("seed", value)
    assert "from 0 to 2^63 - 1" in problem.rule


@pytest.mark.parametrize("value", [0, 7, 2**63 - 1, [0], [3, 1, 2], (4, 5)])
def test_a_seed_and_a_list_of_seeds_are_no_problem(value: Any) -> None:
    assert seeds_problem("seed", value) is None
