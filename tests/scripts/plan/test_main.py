import multiprocessing
import os
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.plan import __main__ as plan
from scripts.plan import calibration, jobs
from scripts.plan.__main__ import makespan, predict
from scripts.plan.calibration import on_disk
from scripts.plan.jobs import plan_sweep
from tests.commands import parametrize, results

pytestmark = pytest.mark.usefixtures("hydra_restore_singletons")


@parametrize(
    "words, workers, sizes",
    [
        ("loss=mse,ce seed=range(10) hydra.sweeper.stack_size=4", 1, [[4, 4, 2]] * 2),
        ("seeds.data=1,2 seeds.init=range(3) seed=7", 1, [[6]]),
        ("seed=range(100)", 2, [[50, 50]]),  # idle workers share the seeds of a job
        ("loss=mse,ce,bce seed=range(20)", 2, [[20], [20], [10, 10]]),
        ("loss=mse,ce classes=2,4 seed=range(100000)", 1, [[1000] * 100] * 4),
        ("experiment=variance hydra.sweeper.stack_size=100", 1, [[90, 90, 36]] * 4),
        ("experiment=hw4", 1, [[20]] * 4),
        ("loss=mse,ce", 1, [[1], [1]]),
        ("seed=[3,4,5]", 1, [[3]]),
        ("loss=mse,ce seed=range(20) fail_fast=true", 2, [[10, 10], [10, 10]]),  # a batch for each
        ("loss=mse,ce seed=range(20) hydra/launcher=joblib", 8, [[20], [20]]),
    ],
    quick=4,
)
def test_the_jobs_are_those_of_the_sweeper(words: str, workers: int, sizes: list[list[int]]) -> None:
    sweep = plan_sweep(words.split(), workers)
    assert [[job.networks for job in condition.jobs] for condition in sweep.conditions.values()] == sizes
    assert {batch.workers for batch in sweep.batches} == {workers}
    assert sum(len(batch.jobs) for batch in sweep.batches) == sum(map(len, sizes))


def forked(words: list[str], folder: Path, pipe: Connection) -> None:
    """Run src.train in a process whose peak memory tells of nothing else, and send its bytes."""
    from src.train import main  # sets the defaults of Hydra's version, which must not happen in the other tests

    os.chdir(folder)
    sys.argv = ["train.py", *words]
    main()
    unit = 1 if sys.platform == "darwin" else 1024
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


@pytest.mark.integration
def test_a_short_sweep_takes_the_memory_and_disk_that_were_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["loss=ce", "seed=range(24)", "hydra.sweeper.stack_size=16", "trainer.max_epochs=40"]
    words += ["data.samples_per_class=50", "figures=none", "hydra/launcher=basic"]
    monkeypatch.setattr(plan, "_start_up", lambda: 0.0)  # torch is imported already
    prediction = predict(words, None, plan.Console(quiet=True))
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=forked, args=(["-m", *words], tmp_path, there))
    process.start()
    memory = here.recv()
    process.join()
    total = prediction.total
    assert (total.jobs, total.seeds) == (2, len(results(tmp_path))) == (2, 24)
    assert memory / 1.5 < total.memory < 1.5 * memory
    assert on_disk(tmp_path / "outputs") == pytest.approx(total.disk, rel=0.2)


def test_the_seconds_are_those_of_the_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    line = calibration.Line
    costs = calibration.Costs(
        first=0.5,
        start=line(1.0, 0.0),
        epoch=line(0.0, 0.01),
        epochs=40,
        write=line(0.0, 0.1),
        inherited=0.0,
        memory=line(0.0, 1.0),
        memory_epoch=0.0,
        disk=line(0.0, 1.0),
    )
    monkeypatch.setattr(calibration, "calibrate", lambda *_: costs)
    monkeypatch.setattr(plan, "_start_up", lambda: 2.0)
    monkeypatch.setattr(jobs.Line, "through", lambda _: line(0.0, 0.0))  # of the seconds to compose a job
    words = ["loss=ce", "seed=range(24)", "hydra.sweeper.stack_size=16", "trainer.max_epochs=40"]
    one = predict([*words, "hydra/launcher=basic"], None, plan.Console(quiet=True))
    assert one.seconds == pytest.approx(2.0 + 0.5 + 2 * 1.0 + 24 * (40 * 0.01 + 0.1))  # two jobs, one after the other
    two = predict(words, 2, plan.Console(quiet=True))
    assert two.seconds == pytest.approx(2.0 + 0.5 + 1.0 + 16 * (40 * 0.01 + 0.1))  # beside the job of 8


@given(durations=st.lists(st.floats(0, 100), min_size=1), workers=st.integers(1, 9))
def test_workers_share_the_jobs(durations: list[float], workers: int) -> None:
    span = makespan(durations, workers)
    least = max(sum(durations) / workers, *durations)
    assert least - 1e-9 <= span <= sum(durations) / workers + max(durations) + 1e-9


def test_the_table_names_each_condition_and_the_sum(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [plan.Row(f"loss={loss}", 10, 1000, 60.0, 600.0, 2e9, 3e9) for loss in ("mse", "ce")]
    asked: list[Any] = []

    def predicted(*arguments: Any) -> plan.Prediction:
        asked.extend(arguments[:2])
        return plan.Prediction(rows, workers=4, shared=5e8, start_up=5.0, seconds=305.0, measured=12.0)

    monkeypatch.setattr(plan, "predict", predicted)
    assert plan.main(["loss=mse,ce 'seed=range(1000)'", "export=none", "--workers", "4"]) == 0
    assert asked == [["loss=mse,ce", "seed=range(1000)", "export=none"], 4]
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if line.startswith((" loss", " all"))] == [
        ["loss=mse", "10", "1,000", "0:01:00", "0:10:00", "2.0", "GB", "3.0", "GB"],
        ["loss=ce", "10", "1,000", "0:01:00", "0:10:00", "2.0", "GB", "3.0", "GB"],
        ["all", "20", "2,000", "0:01:00", "0:20:00", "2.0", "GB", "6.0", "GB"],
    ]
    assert "With 4 workers: 0:05:05, of which 5.0 s until the first job begins; 6.5 GB of memory; 6.0 GB" in shown
    assert "12.0 s" in shown
