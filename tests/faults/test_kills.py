"""A real sweep is killed, and finished by the same command: the end is that of a sweep that nothing disturbed."""

import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

from tests.commands import posix
from tests.faults.studies import JOINED, STORAGES, Forked, contents, leftovers, start, written_runs

pytestmark = posix
KILLS = 6
SEEDS = 8  # of the sweep
TYPED = (1,)  # of these are sweeps that start as a user starts them; the others do not import torch anew


def moment(seed: int) -> float:
    """Return when a sweep is killed, as a share of the time from its first file to its last."""
    return random.Random(seed).random()  # noqa: S311 - no secret


@contextmanager
def begun(run, sweep, folder):
    """Start a sweep and wait for its first file: what comes before, it shares with any command."""
    with run(folder, *sweep) as process:
        while not (folder / "outputs").exists() and process.poll() is None:
            time.sleep(0.005)
        yield process


def undisturbed_end(sweep, folder):
    """Run a sweep once; return what it left, how long it took from its first file to its last, and what it printed."""
    with begun(Forked, sweep, folder) as process:
        began = time.monotonic()
        while len(written_runs(folder)) < SEEDS and process.poll() is None:
            time.sleep(0.005)
        took = time.monotonic() - began
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return contents(folder), took, out


@pytest.fixture(scope="module", params=STORAGES, ids=["files", "table"])
def undisturbed(request, tmp_path_factory):
    """Return a sweep, what it left and how long it took from its first file to its last."""
    left, took, _ = undisturbed_end(request.param, tmp_path_factory.mktemp("undisturbed"))
    return request.param, left, took


def end(run, sweep, folder, seconds, sent):
    """Send a running sweep a signal, some seconds after its first file or, where it had ended by then, earlier."""
    for _ in range(10):
        with begun(run, sweep, folder) as process:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=seconds)
            if process.poll() is None:
                process.send_signal(sent)
                process.communicate(timeout=120)
        if process.returncode != 0:
            return process.returncode
        shutil.rmtree(folder / "outputs")
        seconds *= 0.8
    return 0


def finish(run, sweep, folder, expected):
    """Run the sweep again: it leaves what an undisturbed one does."""
    with run(folder, *sweep) as again:
        out, err = again.communicate(timeout=300)
    assert again.returncode == 0, out + err
    assert contents(folder) == expected
    assert leftovers(folder) == []


@pytest.mark.integration
@pytest.mark.parametrize("number", range(KILLS))
def test_a_sweep_killed_at_any_moment_is_finished_by_the_same_command(number, undisturbed, tmp_path, count):
    sweep, expected, took = undisturbed
    run = start if number in TYPED else Forked
    assert end(run, sweep, tmp_path, moment(number) * took, signal.SIGKILL) == -signal.SIGKILL
    kept = written_runs(tmp_path)
    finish(run, sweep, tmp_path, expected)
    assert kept.items() <= written_runs(tmp_path).items()
    count("sweeps killed by SIGKILL and finished by the same command")
    count("seeds finished when their sweep was killed, and kept as they were", len(kept))


@pytest.mark.integration
def test_a_killed_stack_of_two_conditions_is_finished_by_the_same_command(tmp_path, tmp_path_factory, count):
    expected, took, out = undisturbed_end(JOINED, tmp_path_factory.mktemp("undisturbed"))
    assert "training 8 seeds of 2 conditions as one stack" in out
    assert end(Forked, JOINED, tmp_path, took / 2, signal.SIGKILL) == -signal.SIGKILL
    kept = written_runs(tmp_path)
    finish(Forked, JOINED, tmp_path, expected)
    assert kept.items() <= written_runs(tmp_path).items()
    count("sweeps killed by SIGKILL and finished by the same command")


@pytest.mark.integration
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, {-signal.SIGTERM, 143}), (signal.SIGINT, {130})])
def test_a_polite_end_leaves_the_same(sent, code, undisturbed, tmp_path, count):
    sweep, expected, took = undisturbed
    assert end(start, sweep, tmp_path, took / 2, sent) in code
    finish(start, sweep, tmp_path, expected)
    count("sweeps ended by SIGTERM or Ctrl-C and finished by the same command")


@pytest.mark.integration
def test_a_study_grows_by_what_is_new(undisturbed, tmp_path, train):
    sweep, expected, _ = undisturbed
    train("--multirun", "loss=ce", "seed=range(2)", *sweep[3:])
    before = written_runs(tmp_path)
    done = train(*sweep)
    assert before.items() <= written_runs(tmp_path).items()
    assert "2 of 4 seeds are finished and kept" in done.out
    assert contents(tmp_path) == expected
