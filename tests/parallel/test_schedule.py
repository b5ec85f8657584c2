from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src.parallel.schedule import MAX_JOINED, MIN_SEEDS, Schedule, ScheduledJob

CPU = OmegaConf.create(
    {"classes": 2, "seed": 0, "data": {"samples": 80}, "trainer": {"max_epochs": 20, "accelerator": "cpu"}}
)
CHOICES = dict.fromkeys(("scheduler", "callbacks", "logger", "profiler"), "none")
TRAINER = {"max_epochs": 20, "accelerator": "cpu", "checkpoint_every": None}
LOSSLAB = OmegaConf.create(
    {"seed": 0, "data": {"class_weights": "none"}, "trainer": TRAINER, "hydra": {"runtime": {"choices": CHOICES}}}
)


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        ([["classes=2"], ["classes=10"], ["classes=4"]], [1, 2, 0]),
        ([["trainer.max_epochs=5", "data.samples=90"], ["data.samples=400"], ["trainer.max_epochs=50"]], [1, 2, 0]),
        ([["seed=[0,1]"], ["seed=7"], ["seeds.data=[0,1]", "seeds.init=[3,4]"], ["seed=[0,1,2]"]], [2, 3, 0, 1]),
        ([["loss=mse"], ["loss=ce"], ["model=linear"]], [0, 1, 2]),
        ([["classes=a"], ["+classes=3"], ["~seed"], ["data=xor"]], [1, 2, 3, 0]),
    ],
)
def test_jobs_start_by_networks_points_classes_and_epochs(jobs: list[list[str]], order: list[int]) -> None:
    assert Schedule.of(CPU, jobs, workers=2).stacks == [[number] for number in order]
    assert Schedule.of(OmegaConf.create({}), [["x=1"], ["x=2"]], workers=2).stacks == [[0], [1]]


@pytest.mark.parametrize(
    ("jobs", "workers", "networks"),
    [
        ([["seed=range"]], 1, [100]),
        ([["seed=range"]], 2, [50, 50]),
        ([["seed=range"]], 3, [34, 34, 32]),
        ([["loss=ce", "seed=range"], ["loss=mse", "seed=range"]], 2, [100, 100]),
        ([["loss=ce", "seed=range"], ["loss=mse", "seed=range"]], 5, [50, 50, 50, 50]),
        (
            [["classes=4", "seed=range"], ["classes=2", "seed=range"], ["classes=3", "seed=range"]],
            2,
            [100, 50, 50, 100],
        ),
        ([["seed=[0,1,2,3,4,5,6,7,8]"]], 2, [9]),
        ([["seed=[0,1,2]", "seeds.init=[0,1,2,3,4,5]"]], 2, [9, 9]),
        ([["trainer.accelerator=gpu", "seed=range"]], 2, [100]),
    ],
)
def test_idle_workers_get_parts_of_the_last_jobs(jobs: list[list[str]], workers: int, networks: list[int]) -> None:
    listed = f"seed=[{','.join(map(str, range(100)))}]"
    written = [[listed if word == "seed=range" else word for word in job] for job in jobs]
    assert [job.networks for job in Schedule.of(CPU, written, workers).filled().jobs] == networks


def test_an_application_without_an_accelerator_keeps_its_jobs() -> None:
    jobs = [[f"seed={list(range(100))}"]]
    assert len(Schedule.of(OmegaConf.create({"seed": 0}), jobs, workers=2).filled().jobs) == 1


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=9), workers=st.integers(1, 9), pinned=st.booleans())
def test_a_filled_schedule_has_the_same_seeds_in_order(sizes: list[int], workers: int, pinned: bool) -> None:
    jobs = [
        [f"loss={index}", f"+seed=[{','.join(map(str, range(size)))}]", *["seeds.init=[5,6]"] * pinned]
        for index, size in enumerate(sizes)
    ]
    whole = Schedule.of(CPU, jobs, workers)
    filled = whole.filled()
    for index, job in enumerate(whole.jobs):
        parts = [part for part in filled.jobs if part.condition == job.condition]
        assert [seed for part in parts for seed in part.seeds["seed"]] == job.seeds["seed"]
        assert all(part.seeds["seeds.init"] == job.seeds["seeds.init"] for part in parts if pinned)
        assert sum(part.cost for part in parts) == pytest.approx(job.cost)
        assert len(parts) == 1 or min(part.networks for part in parts[:-1]) >= MIN_SEEDS
        for part in parts:  # the overrides give what the job claims
            assert ScheduledJob.of(CPU, part.overrides).seeds == part.seeds
            assert part.overrides[0] == f"loss={index}"
            assert part.overrides[1].startswith("+seed=[")
    left_over = len(jobs) % workers
    assert len(filled.jobs) - (len(jobs) - left_over) <= workers


def test_seeds_of_a_configuration_are_cut_too() -> None:
    config = OmegaConf.merge(CPU, {"seed": list(range(20))})
    jobs = Schedule.of(config, [["loss=ce"]], workers=2).filled().jobs  # type: ignore[arg-type]
    assert [job.overrides for job in jobs] == [
        ("loss=ce", "seed=[0,1,2,3,4,5,6,7,8,9]"),
        ("loss=ce", "seed=[10,11,12,13,14,15,16,17,18,19]"),
    ]


def sweep(*lists: list[str], seeds: int) -> list[list[str]]:
    """Return the jobs of a product of overrides, each with so many seeds."""
    return [[*words, f"seed=[{','.join(map(str, range(seeds)))}]"] for words in product(*lists)]


RATES = [f"optimizer.lr={rate}" for rate in (0.1, 0.2, 0.3, 0.4)]


@pytest.mark.parametrize(
    ("jobs", "workers", "networks"),
    [
        (sweep(RATES[:3], seeds=3), 1, [[3, 3, 3]]),
        (sweep(RATES[:3], seeds=3), 2, [[3, 3], [3]]),
        (sweep(RATES[:2], seeds=5), 2, [[5], [5]]),
        (sweep(RATES, seeds=5), 2, [[5, 5], [5, 5]]),
        (sweep(RATES[:3], seeds=20), 2, [[20], [20], [10], [10]]),
        (sweep(RATES[:2], seeds=20), 4, [[10], [10], [10], [10]]),
        (sweep(RATES, seeds=10), 1, [[10, 10], [10, 10]]),
        (sweep(RATES[:3], seeds=61), 1, [[61], [61], [61]]),
        (sweep(["loss=mse", "loss=ce"], RATES[:3], seeds=3), 2, [[3, 3, 3], [3, 3, 3]]),
        (
            sweep(["loss=mse", "loss=ce", "loss=brier"], RATES[:2], seeds=12),
            2,
            [[12, 12], [12, 12], [6, 6], [6, 6]],
        ),
        (sweep(RATES[:2], ["+optimizer.weight_decay=0", "+optimizer.weight_decay=1"], seeds=1), 1, [[1, 1, 1, 1]]),
        ([["seed=[0]"], ["optimizer.lr=0.1", "tuned=optimizer.lr", "seed=[0]"]], 1, [[1, 1]]),
    ],
)
def test_jobs_that_differ_in_scalars_are_joined(jobs: list[list[str]], workers: int, networks: list[list[int]]) -> None:
    filled = Schedule.of(LOSSLAB, jobs, workers).filled()
    assert [[filled.jobs[number].networks for number in stack] for stack in filled.stacks] == networks
    for stack in filled.stacks:
        assert len({filled.jobs[number].alike for number in stack}) == 1
    assert sorted(number for stack in filled.stacks for number in stack) == list(range(len(filled.jobs)))


@pytest.mark.parametrize(
    "word",
    [
        *("trainer.accelerator=gpu", "trainer.checkpoint_every=5", "data.class_weights=balanced", "logger=csv"),
        *("scheduler=plateau", "scheduler=one_cycle", "callbacks=ema", "profiler=simple"),
    ],
)
def test_jobs_in_which_something_acts_on_a_stack_are_not_joined(word: str) -> None:
    jobs = sweep(RATES[:2], [word], seeds=2)
    assert Schedule.of(LOSSLAB, jobs, workers=1).stacks == [[0], [1]]


def test_jobs_that_differ_in_seeds_or_other_settings_are_not_joined() -> None:
    jobs = [["optimizer.lr=0.1", "seed=[0]"], ["optimizer.lr=0.2", "seed=[1]"], ["optimizer.beta=0.2", "seed=[0]"]]
    assert Schedule.of(LOSSLAB, jobs, workers=1).stacks == [[0], [1], [2]]


@given(rates=st.integers(1, 9), losses=st.integers(1, 4), seeds=st.integers(1, 70), workers=st.integers(1, 9))
def test_joined_jobs_leave_no_worker_idle_that_had_a_job(rates: int, losses: int, seeds: int, workers: int) -> None:
    jobs = sweep(
        [f"loss={loss}" for loss in range(losses)], [f"optimizer.lr={rate}" for rate in range(rates)], seeds=seeds
    )
    filled = Schedule.of(LOSSLAB, jobs, workers).filled()
    assert len(filled.stacks) >= min(workers // losses, rates) * losses
    largest = max(sum(filled.jobs[number].networks for number in stack) for stack in filled.stacks)
    assert largest <= max(MAX_JOINED, seeds)
    assert sum(job.networks for job in filled.jobs) == rates * losses * seeds
