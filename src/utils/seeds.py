"""Names and rules of the seed settings. Imports no torch, which the sweeper and the analysis do without."""

from typing import Any

from src.utils.validation import Problem, whole

PURPOSES = ("data", "split", "init", "shuffle")  # the position of each is part of the derivation of its stream
SEED_KEYS = ("seed", *(f"seeds.{purpose}" for purpose in PURPOSES))  # settings


def as_list(seeds: Any) -> list[Any]:
    """Return one seed, or several, as a list."""
    return list(seeds) if isinstance(seeds, list | tuple) else [seeds]


def seeds_problem(name: str, seeds: Any) -> Problem | None:
    """Return a problem unless the setting is a seed, or a list of one or more different ones."""
    listed = as_list(seeds)
    good = listed and all(whole(name, seed, min_value=0, max_value=2**63 - 1) is None for seed in listed)
    rule = "a whole number from 0 to 2^63 - 1, or a list of one or more different ones"
    return None if good and len(set(listed)) == len(listed) else Problem(name, rule, seeds)
