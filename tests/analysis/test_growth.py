import os
from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.growth import was_extended
from src.storage.manifest import RequestedCondition, write_manifest
from tests.analysis.studies import write_run


def train(study: Path, seeds: range, at: float, seconds: float) -> None:
    """Write seeds as one stack that was finished at some time."""
    for seed in seeds:
        folder = write_run(study, seed=seed, seconds=seconds, files=False)
        os.utime(folder / "results.json", (at, at))


def request(study: Path, *parts: range) -> None:
    name = next(path for path in study.iterdir() if path.name.startswith("loss=")).name
    write_manifest(study, [RequestedCondition(name, name[-8:], [], {"seed": [*seeds]}) for seeds in parts])


@pytest.mark.parametrize(
    ("stacks", "requests", "expected"),
    [
        ([(range(4), 10)], [range(4)], False),
        ([(range(4), 10), (range(4, 8), 20)], [range(4), range(8)], True),
        ([(range(4), 10), (range(4, 8), 20)], [range(4), range(4, 8)], True),
        ([(range(4), 10), (range(4, 8), 20)], [range(8)], False),  # two stacks of one request
        ([(range(1, 4), 10), (range(1), 20)], [range(4), range(1)], False),  # a failed seed again
        ([(range(4), 10), (range(4, 8), 20)], [], False),  # of runs without a sweep nothing is known
    ],
)
def test_a_study_is_extended_by_a_later_request(tmp_path: Path, stacks, requests, expected: bool):
    for seeds, at in stacks:
        train(tmp_path, seeds, 1e9 + at, seconds=at)
    for seeds in requests:
        request(tmp_path, seeds)
    assert was_extended([tmp_path], collect([tmp_path]).completed) == expected


def test_a_sweep_that_trains_in_several_stacks_is_one_request(tmp_path: Path):
    for start in (0, 4):
        train(tmp_path, range(start, start + 4), 1e9 + start, seconds=1 + start)
    request(tmp_path, range(4), range(4, 8))
    assert not was_extended([tmp_path], collect([tmp_path]).completed)
