"""The same command gives the same files: again, on any number of threads, alone or in a stack, by any launcher."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import fisher_exact, ks_2samp

from tests import reference_results as reference
from tests.faults.studies import contents

WORDS = ("seed=[0,1,2]", "study=s", "trainer.max_epochs=20")


def run_with(threads, folder, *words):
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "src.train", *words]
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, timeout=300)
    return contents(folder)


@pytest.mark.integration
def test_twice_on_one_and_on_two_threads(tmp_path, count):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    first, again, two = (run_with(threads, folder, *WORDS) for threads, folder in zip((1, 1, 2), folders, strict=True))
    assert first == again == two
    count("ways to run a command that gave the same files", 3)


def numbers(folder):
    """Return the files of the seeds that hold numbers, by the part of the path that every way to run shares."""
    return {
        "/".join(path.rsplit("/", 2)[1:]): content
        for path, content in contents(folder).items()
        if path.endswith((".csv", ".ckpt"))
    }


WAYS = ("hydra.sweeper.stack_size=1", "hydra/sweeper=basic", "hydra/launcher=basic")
SWEEP = ("--multirun", "seed=0,1,2", "figures=none", "trainer.max_epochs=2")


@pytest.mark.integration
def test_alone_in_a_stack_and_in_any_process(tmp_path, train, count):
    train("seed=[0,1,2]", *SWEEP[2:], "study=whole")
    for number, way in enumerate(WAYS):
        train(*SWEEP, f"study=other{number}", way)
        assert numbers(tmp_path / f"outputs/other{number}") == numbers(tmp_path / "outputs/whole"), way
    count("ways to run a command that gave the same files", len(WAYS))


# The reference is of double precision. A step in single precision makes a relative error of some 6e-8 in each of its
# sums. After 50 steps the largest difference from the reference was 1.7e-7, over both engines, AVX2 and none, and MKL
# with AVX2 and with SSE4.2; the tolerance is sixty times that. A change of data, initialization, order or optimizer
# changes these losses in the second or third digit.
GROWN_ROUNDING = 1e-5


@pytest.mark.parametrize("recipe", reference.RECIPES)
def test_the_first_50_steps_are_those_of_any_machine(recipe, train, tmp_path, count):
    found = reference.curve(train, tmp_path, recipe)
    np.testing.assert_allclose(found, reference.read()[f"curve {recipe}"], rtol=GROWN_ROUNDING)
    count("runs whose metrics were recorded")


# Rounding grows in a long training until a seed may end elsewhere on another machine, but 100 of them end as before.
# Were the two samples independent, each of the two tests would raise a false alarm in 1 run of 10,000; as they are of
# the same seeds, they are more alike than that.
FALSE_ALARMS = 1e-4


def alarms(accuracies, expected, classes):
    """Return the p values of "the same distribution" and of "the same rate of collapsed networks"."""
    collapsed = [sum(abs(value - 1 / classes) < 1e-3 for value in sample) for sample in (accuracies, expected)]
    table = [[number, len(expected) - number] for number in collapsed]
    return ks_2samp(accuracies, expected).pvalue, fisher_exact(table).pvalue


@pytest.mark.integration
@pytest.mark.parametrize(("recipe", "classes"), [("ce", 2), ("mse", 4)])
def test_100_seeds_end_in_the_recorded_distribution(recipe, classes, train, tmp_path, count):
    expected = reference.read()[f"distribution {recipe}"]
    assert min(alarms(reference.distribution(train, tmp_path, recipe), expected, classes)) > FALSE_ALARMS
    count("runs whose metrics were recorded", 100)


@pytest.mark.integration
def test_another_learning_rate_does_not_end_in_the_recorded_distribution(train, tmp_path):
    other = reference.distribution(train, tmp_path, "ce", "optimizer.lr=0.002")
    assert min(alarms(other, reference.read()["distribution ce"], classes=2)) < FALSE_ALARMS


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_machine_that_rounds_like_a_recorded_one_ends_where_it_did(engine, train, tmp_path, count):
    if engine == "native" and shutil.which("cc") is None:
        pytest.skip("no C compiler, cc, on PATH")
    key = reference.key(engine)
    if key not in reference.read():
        pytest.skip(f'nothing is recorded for "{key}": python -m tests.reference_results')
    found = reference.final(train, tmp_path, engine)
    for recipe, expected in reference.read()[key].items():
        # Equal rounding gives equal numbers; after 500 steps any other rounding has grown beyond this.
        assert found[recipe] == pytest.approx(expected, rel=1e-7, abs=0), recipe
    count("runs whose metrics were recorded", len(found))
