"""The schedule of a sweep: its jobs, the stacks into which their seeds are cut, and the order in which they start."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.utils.seeds import SEED_KEYS

# Jobs that differ in nothing but these are joined: one worker trains them as one stack.
JOINED_SETTINGS = ("lr", "weight_decay", "eps", "momentum")  # of the optimizer
JOINED_KEYS = (*(f"optimizer.{name}" for name in JOINED_SETTINGS), "tuned")
# A stack costs as much as 8 networks of the default size beside its own networks. So joining few is faster than
# training one after another on the same worker: 3 conditions of 1, 3, 5, 10, 20 and 40 seeds took 42, 48, 63, 69, 87
# and 87 % of the time. With more networks there is little or nothing left to gain: 60 took up to 107 % in short
# trainings, and without the kernel 30 took 100 %.
MAX_JOINED = 30
JOINED_WITH = {  # the settings and choices with which jobs are joined; others see or keep a stack as a whole
    "trainer.accelerator": ("cpu",),
    "trainer.checkpoint_every": ("None", "null"),
    "data.class_weights": ("none",),
    "scheduler": ("none", "cosine", "step", "warmup_cosine"),
    "callbacks": ("none",),
    "logger": ("none",),
    "profiler": ("none",),
}
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
        joins: Whether it can be joined with jobs that are like it but for ``JOINED_KEYS``.
    """

    overrides: tuple[str, ...]
    seeds: dict[str, list[str]]
    cost: float
    accelerator: str | None
    joins: bool = False

    @classmethod
    def of(cls, config: DictConfig, overrides: Sequence[str]) -> "ScheduledJob":
        """Read a job from the configuration of the sweep and the job's overrides."""
        given = {_key(word): word.partition("=")[2] for word in overrides if "=" in word}
        values = {key: given.get(key, OmegaConf.select(config, key)) for key in (*SEED_KEYS, *SIZE_KEYS, ACCELERATOR)}
        seeds = {key: _items(values[key]) for key in SEED_KEYS if values[key] not in (None, "null")}
        sizes = [int(values[key]) for key in SIZE_KEYS if str(values[key]).isdecimal()]
        accelerator = values[ACCELERATOR]
        choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
        chosen = {key: given.get(key, choices.get(key, OmegaConf.select(config, key))) for key in JOINED_WITH}
        return cls(
            tuple(overrides),
            seeds,
            prod(map(len, seeds.values())) * prod(sizes),
            None if accelerator is None else str(accelerator),
            all(str(chosen[key]) in allowed for key, allowed in JOINED_WITH.items()),
        )

    @property
    def networks(self) -> int:
        """The number of networks that it trains."""
        return prod(map(len, self.seeds.values()))

    @property
    def condition(self) -> tuple[str, ...]:
        """The overrides that identify its condition: all except those of seeds and Hydra's own."""
        return tuple(word for word in self.overrides if not sets_seeds(word) and not _key(word).startswith("hydra"))

    @property
    def alike(self) -> tuple[str, ...]:
        """What jobs that can be joined have in common: their overrides, without ``JOINED_KEYS`` and Hydra's own."""
        own = (word for word in self.overrides if not _key(word).startswith("hydra"))
        return tuple(sorted(word for word in own if not (self.joins and _key(word) in JOINED_KEYS)))

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

    The sweeper cuts the seeds, the launcher runs the jobs of each of the ``stacks`` together, and ``scripts.plan``
    predicts from both.
    """

    jobs: tuple[ScheduledJob, ...]
    workers: int

    @classmethod
    def of(cls, config: DictConfig, jobs: Sequence[Sequence[str]], workers: int) -> "Schedule":
        """Read a schedule from the configuration of the sweep and the overrides of each job."""
        return cls(tuple(ScheduledJob.of(config, job) for job in jobs), workers)

    @property
    def stacks(self) -> list[list[int]]:
        """The numbers of the jobs that train as one stack each, in the order in which these start: longest first.

        Jobs that are alike are joined, in as many stacks as leave no worker idle, of at most ``MAX_JOINED`` networks.

        Example:
            >>> config = OmegaConf.create({"classes": 2, "seed": 0})
            >>> Schedule.of(config, [["seed=[0,1]"], ["classes=4", "seed=[0,1]"], ["seed=[0,1,2]"]], workers=2).stacks
            [[1], [2], [0]]
        """
        alike = self._alike()
        share = max(1, self.workers // max(1, len(alike)))  # of the workers, for jobs that are alike
        stacks = []
        for numbers in alike:
            count = -(-self._min_stacks(numbers) // share) * share
            stacks += _even(numbers, min(count, len(numbers)))
        return self._longest_first(stacks)

    def _alike(self) -> list[list[int]]:
        """Return the numbers of the jobs that can be joined."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for number, job in enumerate(self.jobs):
            alike.setdefault(job.alike, []).append(number)
        return [*alike.values()]

    def _min_stacks(self, numbers: list[int]) -> int:
        """Return the number of stacks that jobs which are alike need at least."""
        return -(-len(numbers) // max(1, MAX_JOINED // self.jobs[numbers[0]].networks))

    def _longest_first(self, stacks: list[list[int]]) -> list[list[int]]:
        return sorted(stacks, key=lambda stack: sum(self.jobs[number].cost for number in stack), reverse=True)

    def filled(self) -> "Schedule":
        """Cut the seeds of the jobs that would leave workers idle, so that all have work until the end.

        As many stacks as occupy all workers evenly stay whole. Those that are left over, which start last, share the
        workers; each part keeps at least ``MIN_SEEDS`` networks. What trains on another device than the CPU stays
        whole.

        Example:
            >>> config = OmegaConf.create({"trainer": {"accelerator": "cpu"}})
            >>> jobs = [[f"loss={loss}", f"seed={list(range(20))}"] for loss in ("mse", "ce", "bce")]
            >>> [job.networks for job in Schedule.of(config, jobs, workers=2).filled().jobs]
            [20, 20, 10, 10]
        """
        alike = self._alike()
        stacks = [stack for numbers in alike for stack in _even(numbers, self._min_stacks(numbers))]
        left_over = len(stacks) % self.workers
        parts = dict.fromkeys(range(len(self.jobs)), 1)
        for stack in self._longest_first(stacks)[len(stacks) - left_over :]:
            networks = self.jobs[stack[0]].networks
            spread = max(1, min(self.workers // len(alike), len(stack)))  # workers that `stacks` gives its jobs to
            share = min(self.workers // left_over, len(stack) * networks // MIN_SEEDS)
            if share > 1 and len(stack) * -(-networks // share) < -(-len(stack) // spread) * networks:
                parts |= dict.fromkeys(stack, share)
        jobs: list[ScheduledJob] = []
        for number, job in enumerate(self.jobs):
            jobs += job.cut(parts[number]) if parts[number] > 1 and job.accelerator == "cpu" else [job]
        return replace(self, jobs=tuple(jobs))


def _even(numbers: list[int], parts: int) -> list[list[int]]:
    """Return consecutive parts of a list, whose lengths differ by one at most."""
    ends = [part * len(numbers) // parts for part in range(parts + 1)]
    return [numbers[start:end] for start, end in pairwise(ends)]


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
