"""The jobs of a sweep, without running them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from hydra_plugins.cores_launcher.cores_launcher import longest_first, shares
from hydra_plugins.stack_sweeper._parts import condition_of, sets_seeds
from scripts.plan.calibration import Line
from src.config.instantiate import check_settings, stack
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.config.validation import study_problem
from src.experiments.naming import condition_name
from src.experiments.runner import part
from src.utils.seeds import seeds_problem
from src.utils.validation import check

LISTED = 100  # seeds with which the composition of a job is timed


@dataclass(frozen=True)
class ConditionJobs:
    """The jobs of one condition.

    Attributes:
        name: The readable name of the condition.
        settings: Its resolved settings.
        choices: The choices of the config groups.
        seeds: For each job its number in the sweep and how many seeds it has.
    """

    name: str
    settings: dict[str, Any]
    choices: dict[str, str]
    seeds: dict[int, int]


@dataclass(frozen=True)
class Sweep:
    """All jobs of a sweep.

    Attributes:
        conditions: The conditions, in the order in which they come.
        order: The numbers of the jobs in the order in which they start.
        launcher: Choice of ``hydra/launcher``.
        workers: Processes that it starts, or ``None`` where it does not say.
        compose: Seconds to compose and check the settings of a job.
    """

    conditions: list[ConditionJobs]
    order: list[int]
    launcher: str
    workers: int | None
    compose: Line

    def stacks(self, workers: int) -> dict[int, list[int]]:
        """Return, by number of the job, the seeds of each stack that it trains on some workers.

        The launcher ``cores`` lets a job that would leave cores idle share its seeds among them.
        """
        jobs = {num: seeds for condition in self.conditions for num, seeds in condition.seeds.items()}
        if self.launcher != "cores":
            return {num: [seeds] for num, seeds in jobs.items()}
        shared = dict(zip(self.order, shares(len(jobs), workers), strict=True))
        return {num: _cut(seeds, part(seeds, shared[num])) for num, seeds in jobs.items()}


def sweep_jobs(words: Sequence[str]) -> Sweep:
    """Return the jobs that ``python -m src.train --multirun`` would run.

    Args:
        words: The overrides.

    Raises:
        HydraException: If one cannot be composed.
        SettingsError: If a setting is wrong.
    """
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        hydra = cast(Hydra, GlobalHydra.instance().hydra)
        config = hydra.compose_config("train", list(words), RunMode.MULTIRUN, with_log_configuration=False)
        choices = config.hydra.runtime.choices
        if choices["hydra/sweeper"] != "stack":
            raise CompactHydraException(f"Expected `hydra/sweeper` to be stack, got {choices['hydra/sweeper']}.")
        sweeper = instantiate(config.hydra.sweeper)
        sweeper.config = config
        sweeper.hydra_context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        jobs = [job for batch in sweeper.batches(list(config.hydra.overrides.task)) for job in batch]
        grouped: dict[tuple[str, ...], dict[int, list[str]]] = {}
        for num, job in enumerate(jobs):
            grouped.setdefault(condition_of(job), {})[num] = job
        started = time.perf_counter()
        conditions = [_condition(hydra.config_loader, config, list(key), group) for key, group in grouped.items()]
        seconds = {1: (time.perf_counter() - started) / len(conditions)}
        if max(size for condition in conditions for size in condition.seeds.values()) > 1:
            started = time.perf_counter()
            hydra.config_loader.load_sweep_config(config, [f"seed={list(range(LISTED))}"])
            seconds[LISTED] = seconds[1] + time.perf_counter() - started
        launcher = choices["hydra/launcher"]
        workers = 1 if launcher == "basic" else None
        if launcher == "cores":
            workers = instantiate(config.hydra.launcher).workers
        order = longest_first(config, jobs) if launcher == "cores" else list(range(len(jobs)))
        return Sweep(conditions, order, launcher, workers, Line.through(seconds))


def _condition(loader: Any, config: DictConfig, words: list[str], jobs: dict[int, list[str]]) -> ConditionJobs:
    root = loader.load_sweep_config(config, words)
    settings, choices = resolve(root), dict(root.hydra.runtime.choices)
    check(study_problem(settings["study"]))
    check_settings(settings)
    members = len(stack(settings))
    seeds = {}
    for num, job in jobs.items():
        swept = dict(_seeds(word) for word in job if sets_seeds(word))
        check(*(seeds_problem(key, values) for key, values in swept.items()))
        seeds[num] = prod(map(len, swept.values())) if swept else members
    return ConditionJobs(condition_name(settings, choices, words), settings, choices, seeds)


def _cut(seeds: int, size: int) -> list[int]:
    return [min(size, seeds - start) for start in range(0, seeds, size)]


def _seeds(word: str) -> tuple[str, list[int | str]]:
    """Read an override of seeds.

    Example:
        >>> _seeds("seed=[3,4]"), _seeds("seeds.data=x")
        (('seed', [3, 4]), ('seeds.data', ['x']))
    """
    key, _, value = word.lstrip("+").partition("=")
    items = value.removeprefix("[").removesuffix("]").split(",")
    return key, [int(item) if item.lstrip("-").isdecimal() else item for item in items]
