"""Conditions that differ only in scalars of the optimizer train as one stack, and leave what each leaves alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from src.experiments import joined
from src.experiments import train_stack as stacks
from tests.commands import SHORT, files, results

WORDS = ("--multirun", "hydra.launcher.workers=1", "study=s", *SHORT)
SWEEP = (*WORDS, "optimizer.lr=1e-3,1e-2")
APART = "hydra.sweeper.max_batch_size=1"  # one job after another is given to the launcher


def contents(folder: Path) -> dict[tuple[str, ...], Any]:
    """Return what the files of all seeds below a folder hold, but for the times."""
    found: dict[tuple[str, ...], Any] = {}
    for name in files(folder):
        condition, *rest = Path(name).parts
        if name.endswith((".csv", ".ckpt", ".png")):
            found[condition[-8:], *rest] = (folder / name).read_bytes()
        if name.endswith("results.json"):
            found[condition[-8:], *rest] = None
    for content in results(folder).values():
        own = {name: value for name, value in content.items() if name not in ("seconds", "condition", "overrides")}
        found[content["fingerprint"], str(content["seed"])] = own
    return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the number of seeds of each condition in each stack that is trained."""
    trained: list[list[int]] = []
    train_parts = stacks.train_parts

    def count(parts: Any) -> Any:
        trained.append([len(members) for _, members in parts])
        return train_parts(parts)

    for module in (joined, stacks):
        monkeypatch.setattr(module, "train_parts", count)
    return trained


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("figures=movie",), marks=pytest.mark.integration),
        ("engine=torch", "scheduler=cosine", "optimizer=adamw", "+optimizer.weight_decay=0.1"),
        pytest.param(
            ("optimizer=sgd", "scheduler=warmup_cosine", "data.val_fraction=0.2", "+trainer.gradient_clip_val=0.1"),
            marks=pytest.mark.integration,
        ),
    ],
)
def test_joined_conditions_leave_what_each_leaves_alone(
    settings: tuple[str, ...], train: Any, tmp_path: Path, counted: list[list[int]]
) -> None:
    words = (*WORDS, "optimizer.lr=1e-3,1e-2,0.1", "seed=0,1,4", *settings)
    train(*words)
    assert counted == [[3, 3, 3]]
    together = contents(tmp_path / "outputs" / "s")
    shutil.rmtree(tmp_path / "outputs")
    train(*words, APART)
    assert counted[1:] == [[3], [3], [3]]
    alone = contents(tmp_path / "outputs" / "s")
    assert together.keys() == alone.keys()
    assert {key for key, content in together.items() if content != alone[key]} == set()


@pytest.mark.integration
def test_only_missing_seeds_train_together_or_in_one_condition_alone(
    train: Any, tmp_path: Path, counted: list[list[int]]
) -> None:
    train(*SWEEP, "seed=0,1")
    expected = contents(tmp_path / "outputs" / "s")
    first, second = sorted((tmp_path / "outputs" / "s").glob("loss=*"))
    shutil.rmtree(first / "seed=1")
    shutil.rmtree(second)
    again = train(*SWEEP, "seed=0,1")
    assert "1 of 2 seeds are finished and kept" in again.out
    assert sorted(counted[1]) == [1, 2]
    shutil.rmtree(second)
    train(*SWEEP, "seed=0,1")
    assert counted[2:] == [[2]]
    assert contents(tmp_path / "outputs" / "s") == expected


def test_a_diverging_rate_fails_its_own_condition_only(train: Any, tmp_path: Path, counted: list[list[int]]) -> None:
    done = train(*WORDS, "optimizer.lr=1e-3,1e20", "seed=0,1", code=1)
    assert counted == [[2, 2]]
    assert "1 of 2 jobs failed:\nJob 1: 2 of 2 seeds of loss=ce,classes=2," in done.err
    assert sorted(content["status"] for content in results(tmp_path).values()) == [*["completed"] * 2, *["failed"] * 2]


def test_a_joined_stack_that_fails_leaves_its_conditions_to_their_jobs(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(parts: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(joined, "train_parts", fails)
    done = train(*SWEEP, "seed=0,1")
    assert "2 conditions are trained one by one, as one stack failed (no room)" in done.out
    assert [content["status"] for content in results(tmp_path).values()] == ["completed"] * 4
    assert not list(tmp_path.rglob(".lock-*"))


@pytest.mark.integration
@pytest.mark.parametrize("settings", [("resume=false",), ("storage=table", "export=none")])
def test_results_are_replaced_and_stored_in_tables_as_alone(
    settings: tuple[str, ...], train: Any, tmp_path: Path, counted: list[list[int]]
) -> None:
    for _ in range(2):
        train(*SWEEP, "seed=0,1", *settings)
    assert counted == [[2, 2]] * (2 if "resume=false" in settings else 1)
    if "storage=table" in settings:
        assert len(list(tmp_path.glob("outputs/s/*/stack*/results.parquet"))) == 2


@pytest.mark.integration
@pytest.mark.parametrize(
    "settings", [("scheduler=plateau",), ("logger=csv",), ("callbacks=early_stopping", "data.val_fraction=0.2")]
)
def test_what_acts_on_a_stack_trains_each_condition_alone(
    settings: tuple[str, ...], train: Any, counted: list[list[int]]
) -> None:
    train(*SWEEP, "seed=0,1", *settings)
    assert counted == [[2], [2]]


@pytest.mark.integration
def test_settings_that_a_schedule_does_not_see_keep_conditions_apart(train: Any, counted: list[list[int]]) -> None:
    train(*SWEEP, "seed=0,1", "scheduler.eta_min=${optimizer.lr}", "scheduler=cosine")
    assert counted == [[2], [2]]


@pytest.mark.integration
def test_two_workers_train_a_stack_each(train: Any, tmp_path: Path) -> None:
    train(*WORDS[:1], *WORDS[2:], "optimizer.lr=1e-4,1e-3,1e-2,1e-1", "seed=0,1", "hydra.launcher.workers=2")
    found = results(tmp_path)
    assert len(found) == 8
    assert len({content["seconds"] for content in found.values()}) <= 2
    assert len(list(tmp_path.glob("outputs/s/*/.hydra/config.yaml"))) == 4
    assert len(list(tmp_path.glob("outputs/s/*/train.log"))) == 4
