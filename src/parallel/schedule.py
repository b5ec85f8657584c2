"""The schedule of a sweep: its jobs, the stacks into which their seeds are cut, and the order in which they start."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.utils.seeds import SEED_KEYS

MIN_SEEDS = 8  # of a stack that is cut for an idle worker; fewer take as long as these
SAMPLE_KEYS = ("data.samples", "data.samples_per_class", "data.samples_per_corner")
SIZE_KEYS = ("classes", *SAMPLE_KEYS, "trainer.max_epochs")
ACCELERATOR = "trainer.accelerator"


@dataclass(frozen=True)
class ScheduledJob:
    """One job of a sweep.

    Attributes:
        overrides: Its overrides, in Hydra's grammar.
        seeds: The lists of seeds that it crosses, by key.
        cost: What its duration is taken to be proportional to: networks, samples, classes and epochs. Other settings,
            such as the width of a network, are left out.
        accelerator: The setting ``trainer.accelerator``, or None where the application has no such setting.
    """

    overrides: tuple[str, ...]
    seeds: dict[str, list[str]]
    cost: float
    accelerator: str | None

    @classmethod
    def of(cls, config: DictConfig, overrides: Sequence[str]) -> "ScheduledJob":
        """Read a job from the configuration of the sweep and the job's overrides."""
        given = {_key(word): word.partition("=")[2] for word in overrides if "=" in word}
        values = {key: given.get(key, OmegaConf.select(config, key)) for key in (*SEED_KEYS, *SIZE_KEYS, ACCELERATOR)}
        seeds = {key: _items(values[key]) for key in SEED_KEYS if values[key] not in (None, "null")}
        sizes = [int(values[key]) for key in SIZE_KEYS if str(values[key]).isdecimal()]
        accelerator = values[ACCELERATOR]
        return cls(
            tuple(overrides),
            seeds,
            prod(map(len, seeds.values())) * prod(sizes),
            None if accelerator is None else str(accelerator),
        )

    @property
    def networks(self) -> int:
        """The number of networks that it trains."""
        return prod(map(len, self.seeds.values()))

    @property
    def condition(self) -> tuple[str, ...]:
        """The overrides that identify its condition: all except those of seeds and Hydra's own."""
        return tuple(word for word in self.overrides if not sets_seeds(word) and not _key(word).startswith("hydra"))

    def cut(self, parts: int) -> list["ScheduledJob"]:
        """Cut the longest list of seeds into consecutive ones, for at most so many jobs of about equal size."""
        key = max(self.seeds, key=lambda name: len(self.seeds[name]))
        seeds = self.seeds[key]
        size = -(-len(seeds) // parts)
        return [self._with_seeds(key, seeds[start : start + size]) for start in range(0, len(seeds), size)]

    def _with_seeds(self, key: str, seeds: list[str]) -> "ScheduledJob":
        text = f"{key}=[{','.join(seeds)}]"
        overrides = [word for word in self.overrides if _key(word) != key]
        index = next((at for at, word in enumerate(self.overrides) if _key(word) == key), len(overrides))
        prefix = self.overrides[index].partition(key)[0] if index < len(self.overrides) else ""
        overrides.insert(index, prefix + text)
        share = len(seeds) / len(self.seeds[key])
        return replace(self, overrides=tuple(overrides), seeds=self.seeds | {key: seeds}, cost=self.cost * share)


@dataclass(frozen=True)
class Schedule:
    """The jobs that a launcher runs at once, by number, and the workers that it runs them on.

    The sweeper cuts the seeds, the launcher runs the jobs in ``order``, and ``scripts.plan`` predicts from both.
    """

    jobs: tuple[ScheduledJob, ...]
    workers: int

    @classmethod
    def of(cls, config: DictConfig, jobs: Sequence[Sequence[str]], workers: int) -> "Schedule":
        """Read a schedule from the configuration of the sweep and the overrides of each job."""
        return cls(tuple(ScheduledJob.of(config, job) for job in jobs), workers)

    @property
    def order(self) -> list[int]:
        """The numbers of the jobs in the order in which they start: longest first, so that no worker waits long.

        Example:
            >>> config = OmegaConf.create({"classes": 2, "seed": 0})
            >>> Schedule.of(config, [["seed=[0,1]"], ["classes=4", "seed=[0,1]"], ["seed=[0,1,2]"]], workers=2).order
            [1, 2, 0]
        """
        return sorted(range(len(self.jobs)), key=lambda number: self.jobs[number].cost, reverse=True)

    def filled(self) -> "Schedule":
        """Cut the seeds of the jobs that would leave workers idle, so that all have work until the end.

        As many jobs as occupy all workers evenly stay whole. Those that are left over, which start last, share the
        workers; each of their stacks keeps at least ``MIN_SEEDS`` seeds. What trains on another device than the CPU
        stays whole.

        Example:
            >>> config = OmegaConf.create({"trainer": {"accelerator": "cpu"}})
            >>> jobs = [[f"loss={loss}", f"seed={list(range(20))}"] for loss in ("mse", "ce", "bce")]
            >>> [job.networks for job in Schedule.of(config, jobs, workers=2).filled().jobs]
            [20, 20, 10, 10]
        """
        left_over = len(self.jobs) % self.workers
        shared = self.order[len(self.jobs) - left_over :]
        jobs: list[ScheduledJob] = []
        for number, job in enumerate(self.jobs):
            parts = 1
            if number in shared and job.accelerator == "cpu":
                parts = min(self.workers // left_over, job.networks // MIN_SEEDS)
            jobs += job.cut(parts) if parts > 1 else [job]
        return replace(self, jobs=tuple(jobs))


def sets_seeds(word: str) -> bool:
    """Whether an override sets seeds."""
    return _key(word) in SEED_KEYS


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _items(value: Any) -> list[str]:
    """Return the items of a setting, or of an override's text, that is a list or one value."""
    if isinstance(value, ListConfig):
        return [str(item) for item in value]
    text = str(value).removeprefix("[").removesuffix("]")
    return [item.strip() for item in text.split(",")] if text else []
