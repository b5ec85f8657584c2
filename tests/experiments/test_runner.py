import json
import logging
from pathlib import Path
from threading import Event

import pytest
import torch

from src.experiments import write_run
from src.losses.ce import CrossEntropy
from src.storage import atomic
from src.training.module import StackedClassifier
from tests.commands import SHORT, files, parametrize, results


@pytest.fixture
def statuses(tmp_path: Path):
    return lambda: {seed: content["status"] for (_, seed), content in results(tmp_path).items()}


@pytest.fixture
def raising(monkeypatch):
    """Make the training with cross-entropy raise for stacks of more than some seeds."""

    def patch(error: Exception, more_than: int = 0):
        step = StackedClassifier.training_step

        def raises(self, batch, batch_idx):
            if isinstance(self.objective, CrossEntropy) and batch[0][0].shape[1] > more_than:
                raise error
            return step(self, batch, batch_idx)

        monkeypatch.setattr(StackedClassifier, "training_step", raises)

    return patch


def test_a_condition_that_raises_fails_its_seeds_and_the_next_one_trains(train, raising, statuses, tmp_path):
    raising(ZeroDivisionError("unlucky\nin two lines"))
    done = train("--multirun", "loss=ce,mse", "seed=3,4", "study=s", *SHORT, code=1)
    found = results(tmp_path)
    assert {(content["loss"], seed, content["status"]) for (_, seed), content in found.items()} == {
        ("ce", 3, "failed"),
        ("ce", 4, "failed"),
        ("mse", 3, "completed"),
        ("mse", 4, "completed"),
    }
    assert {content["error"] for content in found.values()} == {None, "ZeroDivisionError: unlucky"}
    assert "seed=3, seed=4: ZeroDivisionError: unlucky\n" in done.err
    assert done.err.rstrip().endswith(
        "loss=ce study=s trainer.max_epochs=2 data.samples_per_class=10 figures=none 'seed=[3,4]'"
    )
    assert "Traceback" not in done.err
    [log] = (path for path in tmp_path.glob("outputs/s/loss=ce*/train.log"))
    assert "ZeroDivisionError: unlucky\nin two lines" in log.read_text()


@pytest.mark.integration
def test_fail_fast_stops_a_sweep_at_its_first_failure(train, raising, tmp_path):
    raising(ValueError("unlucky"))
    done = train("--multirun", "loss=mse,ce,brier", "fail_fast=true", "study=s", *SHORT, code=1)
    assert {content["loss"] for content in results(tmp_path).values()} == {"mse", "ce"}
    assert "1 of 3 jobs failed, 1 were not started:" in done.err
    train("--multirun", "loss=brier,ce", "fail_fast=true", "hydra.sweeper.max_batch_size=2", "study=s", *SHORT, code=1)
    assert {content["loss"] for content in results(tmp_path).values()} == {"mse", "ce", "brier"}


def test_a_seed_that_cannot_be_evaluated_fails_alone(train, statuses, monkeypatch, tmp_path):
    compute_metrics = write_run.compute_metrics
    calls = []

    def second_raises(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise ValueError("unlucky")
        return compute_metrics(*arguments)

    monkeypatch.setattr(write_run, "compute_metrics", second_raises)
    done = train("--multirun", "seed=range(3)", *SHORT, code=1)
    assert statuses() == {0: "completed", 1: "failed", 2: "completed"}
    assert done.err.rstrip().endswith("'seed=[1]'")
    again = train("seed=[1]", *SHORT)
    assert "0 of 1" not in again.out
    assert statuses() == {0: "completed", 1: "completed", 2: "completed"}


@parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
    quick=1,
)
def test_a_stack_too_large_for_memory_is_halved_until_it_fits(error, train, raising, statuses, tmp_path, monkeypatch):
    train("--multirun", "seed=range(5)", "study=whole", *SHORT)
    raising(error, more_than=2)
    done = train("--multirun", "seed=range(5)", "study=halved", *SHORT)
    lines = [line.split(" - ")[-1] for line in done.out.splitlines() if "do not fit into memory" in line]
    assert [words.split("]")[-1].strip(" -") for words in lines] == [
        "5 seeds do not fit into memory together; training them as two stacks",
        "3 seeds do not fit into memory together; training them as two stacks",
    ]
    for path in tmp_path.glob("outputs/whole/*/seed=*/predictions.csv"):
        other = tmp_path / "outputs/halved" / path.relative_to(tmp_path / "outputs/whole")
        assert path.read_bytes() == other.read_bytes()
    assert len(results(tmp_path / "outputs/halved")) == 5


def test_a_seed_too_large_for_memory_alone_fails(train, raising, statuses):
    raising(MemoryError())
    train("seed=[0,1]", *SHORT, code=1)
    assert statuses() == {0: "failed", 1: "failed"}


def test_a_disk_that_is_full_is_one_line_and_what_is_finished_stays(train, statuses, monkeypatch, tmp_path):
    train("seed=0", *SHORT)

    def full(files, *_):
        (files.path / "checkpoint.ckpt").write_bytes(b"half")
        raise OSError(28, "No space left on device", str(files.path / "checkpoint.ckpt"))

    monkeypatch.setattr(write_run, "write_checkpoint", full)
    done = train("seed=[0,1]", *SHORT, code=1)
    assert "\n" not in done.err
    assert done.err.startswith("Cannot write to ")
    assert "(No space left on device). Finished seeds are kept; the same command trains the rest." in done.err
    assert statuses() == {0: "completed"}
    assert not [name for name in files(tmp_path) if ".new" in name]


def test_a_seed_whose_directory_cannot_take_its_place_is_one_line(train, statuses, monkeypatch, tmp_path):
    """The others, some before and some after it, are finished."""
    flush, waiting = atomic.flush, Event()

    def full(*paths):
        if not any(".seed=1.new" in str(path) for path in paths):
            flush(*paths)
            return
        waiting.wait(60)  # until seed 2 is written, whose evaluation does not wait for the disk
        raise OSError(28, "No space left on device", str(paths[0]))

    write = write_run.write_checkpoint

    def write_checkpoint(*arguments):
        write(*arguments)
        if arguments[2] == 2:
            waiting.set()

    monkeypatch.setattr(atomic, "flush", full)
    monkeypatch.setattr(write_run, "write_checkpoint", write_checkpoint)
    done = train("seed=[0,1,2]", *SHORT, code=1)
    assert "\n" not in done.err
    assert "(No space left on device). Finished seeds are kept; the same command trains the rest." in done.err
    assert waiting.is_set()
    assert statuses() == {0: "completed", 2: "completed"}
    assert not [name for name in files(tmp_path) if ".new" in name]
    monkeypatch.setattr(atomic, "flush", flush)
    train("seed=[0,1,2]", *SHORT)
    assert statuses() == {0: "completed", 1: "completed", 2: "completed"}


def test_results_of_a_newer_losslab_are_refused_by_name_and_stay(train, tmp_path):
    train("seed=[0,1]", *SHORT)
    [path] = tmp_path.glob("outputs/runs/*/seed=1/results.json")
    newer = json.dumps(json.loads(path.read_text()) | {"schema": 99})
    path.write_text(newer)
    done = train("seed=[0,1]", *SHORT, code=1)
    assert f"{path} has schema 99" in done.err
    assert path.read_text() == newer


def test_broken_results_are_trained_again_and_named(train, statuses, tmp_path):
    train("seed=[0,1]", *SHORT)
    [path] = tmp_path.glob("outputs/runs/*/seed=1/results.json")
    path.write_text(path.read_text()[:100])
    done = train("seed=[0,1]", *SHORT)
    assert "results.json cannot be read" in done.out
    assert "this seed is trained again" in done.out
    assert statuses() == {0: "completed", 1: "completed"}


def test_seeds_that_other_versions_trained_are_kept_and_named(train, tmp_path):
    train("seed=[0,1]", *SHORT)
    [path] = tmp_path.glob("outputs/runs/*/seed=1/results.json")
    content = json.loads(path.read_text())
    content["versions"]["torch"] = "2.0.0"
    path.write_text(json.dumps(content))
    done = train("seed=[0,1]", *SHORT)
    assert "1 seeds were trained with torch 2.0.0; resume=false trains them again" in done.out
    assert json.loads(path.read_text())["versions"]["torch"] == "2.0.0"


def test_a_killed_replacement_is_undone_by_the_next_launch(train, statuses, tmp_path):
    train("seed=0", *SHORT)
    [folder] = tmp_path.glob("outputs/runs/*/seed=0")
    folder.rename(folder.with_name(".seed=0.old"))
    folder.with_name(".seed=0.new").mkdir()
    done = train("seed=0", *SHORT)
    assert statuses() == {0: "completed"}
    assert not list(folder.parent.glob(".seed*"))
    assert done.err == ""


def test_the_rerun_of_failed_seeds_keeps_the_finished_ones(train, raising, tmp_path):
    crossed = ("seed=[0,1]", "seeds.init=[5,6]", "resume=false", *SHORT)
    train(*crossed)
    raising(ValueError("unlucky"))
    done = train("--multirun", *crossed, code=1)
    assert "'seed=[0,1]' 'seeds.init=[5,6]' resume=true" in done.err


@pytest.fixture(autouse=True)
def logging_as_before():
    before = logging.raiseExceptions
    yield
    logging.raiseExceptions = before
