"""The schedule of a sweep, without running it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hydra import initialize_config_dir

# hydra-core is pinned below 1.4, as the modules in hydra._internal may change between its minor versions.
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from hydra_plugins.stack_sweeper._presets import split_presets
from scripts.plan.calibration import Line
from src.config.cli import readable
from src.config.naming import condition_name
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.config.validation import validate_job
from src.parallel.cpu import available_cpus
from src.parallel.schedule import Schedule, ScheduledJob
from src.utils.seeds import seeds_problem
from src.utils.validation import check

LISTED = 100  # seeds with which the composition of a job is timed


@dataclass(frozen=True)
class PlannedCondition:
    """One condition of a sweep."""

    name: str  # its readable name
    settings: dict[str, Any]  # its resolved settings
    choices: dict[str, str]  # the choices of the config groups
    jobs: list[ScheduledJob]  # its jobs


@dataclass(frozen=True)
class Sweep:
    """All jobs of a sweep.

    Attributes:
        conditions: By the overrides that identify them, in the order in which they come.
        batches: The schedule of each batch of jobs.
        launcher: Choice of ``hydra/launcher``.
        compose: Seconds to compose and check the settings of a job.
    """

    conditions: dict[tuple[str, ...], PlannedCondition]
    batches: list[Schedule]
    launcher: str
    compose: Line

    def stacks(self, batch: Schedule) -> list[list[int]]:
        """Return the numbers of the jobs that train as one stack each, in the order in which they start."""
        return batch.stacks if self.launcher == "cores" else [[number] for number in range(len(batch.jobs))]


def plan_sweep(words: Sequence[str], workers: int | None = None) -> Sweep:
    """Return the schedule of what ``python -m src.train --multirun`` would run.

    Args:
        words: The overrides.
        workers: Number of workers; ``None`` for those that the launcher starts on this machine.

    Raises:
        HydraException: If a job cannot be composed.
        SettingsError: If a setting is wrong.
    """
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        hydra = cast(Hydra, GlobalHydra.instance().hydra)
        presets = split_presets(OverridesParser.create(config_loader=hydra.config_loader), list(map(readable, words)))
        sweeps = [_plan_preset(hydra, preset, workers) for preset in presets]
    launchers = [sweep.launcher for sweep in sweeps]
    if len(set(launchers)) > 1:
        raise CompactHydraException(f"Expected `hydra/launcher` to be one for all presets, got {', '.join(launchers)}.")
    conditions = {key: condition for sweep in sweeps for key, condition in sweep.conditions.items()}
    return replace(sweeps[0], conditions=conditions, batches=[batch for sweep in sweeps for batch in sweep.batches])


def _plan_preset(hydra: Hydra, words: Sequence[str], workers: int | None) -> Sweep:
    config = hydra.compose_config("train", list(words), RunMode.MULTIRUN, with_log_configuration=False)
    choices = config.hydra.runtime.choices
    if choices["hydra/sweeper"] != "stack":
        raise CompactHydraException(f"Expected `hydra/sweeper` to be stack, got {choices['hydra/sweeper']}.")
    launcher = choices["hydra/launcher"]
    cuts_seeds = launcher == "cores"
    if workers is None:
        workers = {"cores": lambda: instantiate(config.hydra.launcher).workers, "basic": lambda: 1}.get(
            launcher, available_cpus
        )()
    sweeper = instantiate(config.hydra.sweeper)
    sweeper.config = config
    sweeper.hydra_context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    batches = sweeper.schedules(list(config.hydra.overrides.task), workers if cuts_seeds else 1)
    grouped: dict[tuple[str, ...], list[ScheduledJob]] = {}
    for job in (job for batch in batches for job in batch.jobs):
        grouped.setdefault(job.condition, []).append(job)
    started = time.perf_counter()
    conditions = {key: _condition(hydra.config_loader, config, key, jobs) for key, jobs in grouped.items()}
    seconds = {1: (time.perf_counter() - started) / len(conditions)}
    if max(job.networks for batch in batches for job in batch.jobs) > 1:
        started = time.perf_counter()
        hydra.config_loader.load_sweep_config(config, [f"seed={list(range(LISTED))}"])
        seconds[LISTED] = seconds[1] + time.perf_counter() - started
    batches = [replace(batch, workers=workers) for batch in batches]
    return Sweep(conditions, batches, launcher, Line.through(seconds))


def _condition(loader: Any, config: DictConfig, words: tuple[str, ...], jobs: list[ScheduledJob]) -> PlannedCondition:
    root = loader.load_sweep_config(config, list(words))
    validate_job(root)
    settings, choices = resolve(root), dict(root.hydra.runtime.choices)
    for job in jobs:
        check(*(seeds_problem(key, list(map(_number, seeds))) for key, seeds in job.seeds.items()))
    return PlannedCondition(condition_name(settings, choices, list(words)), settings, choices, jobs)


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text
