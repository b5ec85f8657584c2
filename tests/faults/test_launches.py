"""Many launches at once, of one sweep and of overlapping ones: each seed is trained once, and nothing is torn."""

import re
from contextlib import ExitStack

import pytest

from tests.commands import posix
from tests.faults.studies import STORAGES, Forked, contents, leftovers, start

pytestmark = posix


def launch(folder, *sweeps, run=Forked):
    """Run all sweeps at once and return their output."""
    with ExitStack() as stack:
        commands = [run(folder, *words, "hydra.verbose=src.experiments.runner") for words in sweeps]
        processes = [stack.enter_context(command) for command in commands]
        outputs = [process.communicate(timeout=400) for process in processes]
    for process, (out, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, out + err
    return [out for out, _ in outputs]


def trained(outputs):
    """Return how many seeds some launches trained, by their own account."""
    return sum(int(number) for out in outputs for number in re.findall(r"training (\d+) seeds", out))


@pytest.fixture(scope="module", params=STORAGES, ids=["files", "table"])
def alone(request, tmp_path_factory):
    """Return a sweep, and what one launch alone leaves."""
    folder = tmp_path_factory.mktemp("alone")
    launch(folder, request.param)
    return request.param, contents(folder)


@pytest.mark.integration
@pytest.mark.parametrize(("launches", "run"), [(2, Forked), (2, start), (8, Forked)])
def test_launches_of_one_sweep_share_its_seeds(launches, run, alone, tmp_path, count):
    sweep, expected = alone
    outputs = launch(tmp_path, *[sweep] * launches, run=run)
    assert contents(tmp_path) == expected
    assert leftovers(tmp_path) == []
    assert trained(outputs) == 8
    count("launches of one sweep at once", launches)


@pytest.mark.integration
def test_launches_of_overlapping_sweeps_share_what_they_have_in_common(alone, tmp_path, count):
    sweep, expected = alone
    base = sweep[3:]
    sweeps = [
        ("--multirun", "loss=ce,mse", "seed=range(4)", *base),
        ("--multirun", "loss=mse,ce", "seed=range(2)", *base),
        ("--multirun", "loss=ce", "seed=3,2,1", *base),
        ("--multirun", "loss=mse", "seed=range(1,4)", "hydra.sweeper.stack_size=1", *base),
    ]
    assert trained(launch(tmp_path, *sweeps * 2)) == 8
    ended = contents(tmp_path)
    # Which launch draws figures depends on who comes first; all else is the same.
    numbers = {path: content for path, content in expected.items() if path.endswith((".csv", ".ckpt"))}
    assert {path: content for path, content in ended.items() if path in numbers} == numbers
    assert {path for path in ended if path.endswith("results.json")} == {
        p for p in expected if p.endswith("results.json")
    }
    assert leftovers(tmp_path) == []
    count("launches of overlapping sweeps at once", 2 * len(sweeps))
