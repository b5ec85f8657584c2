import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

# hydra-core is pinned below 1.4, as the modules in hydra._internal may change between its minor versions.
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException, HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.stack_sweeper._failures import (
    FailedJobsError,
    Failure,
    KeepTraceback,
    narrowed,
    raise_failures,
    rerun_command,
)
from hydra_plugins.stack_sweeper._parts import PartsOfConditions, label_parts, without_labels
from hydra_plugins.stack_sweeper._presets import preset_sweeper, split_presets
from hydra_plugins.stack_sweeper._seeds import stack_seeds
from src.config.cli import RefusedJobsError
from src.parallel.schedule import Schedule
from src.storage.atomic import replacing_file
from src.storage.manifest import RequestedCondition, write_manifest
from src.utils.validation import SettingsError

log = logging.getLogger(__name__)


class StackSweeper(BasicSweeper):
    """Hydra's basic sweeper, except that a sweep over ``seed`` or ``seeds.*`` is one job with lists of seeds.

    ``--multirun loss=mse,ce 'seed=range(20)'`` is two jobs, each with ``seed=[0,1,...,19]``, for an application that
    trains many seeds at once. All other settings are swept as by the basic sweeper. Beyond that:

    - ``experiment=hw4,lecture`` runs the sweep of each preset, with its own sweeper and launcher, one after another.
    - Every job is composed, validated by each of ``hydra.callbacks`` that has a method ``validate(config)``, and its
      directory resolved, before anything is written: what is wrong, and in which jobs, ends the sweep there.
    - The requested conditions are written to a manifest first, see ``src.storage.manifest``.
    - Where a launcher has a property ``workers``, the seeds of jobs that would leave some of them idle are cut into
      smaller stacks, see ``Schedule.filled``. Nothing after the sweeper cuts seeds.
    - Jobs that train parts of the same condition keep a configuration and a log each, and its closing table is shown
      once, when all of them have ended.
    - A job that fails does not keep the next ones from running, unless the application has a setting ``fail_fast``
      that is true: then jobs run one by one, or in batches of ``max_batch_size``, and none starts after a failure. All
      failures are listed at the end, each with the command that reruns it, and the exit code is 1.

    Args:
        max_batch_size: Maximum number of jobs that are given to the launcher at once, at least 1, counted before their
            seeds are cut for idle workers; ``None`` for all of them.
        params: Overrides to sweep over, as on the command line, which has precedence.
        stack_size: Maximum number of seeds in one job, at least 1; ``None`` for no limit.
        grids: Further overrides, each a line such as ``model=a,b loss=c``. The product is taken of each with ``params``
            and the command line, which has precedence over both, and the sweep is the union of these products.
        part: Ignored; jobs find the number of their part there.
    """

    # Set by `setup`, which Hydra calls before `sweep`.
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    launcher: Launcher

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        stack_size: int | None = None,
        grids: Sequence[str] | None = None,
        part: int | None = None,
    ) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.grids = grids or [""]
        self.stack_size = stack_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up."""
        self.task_function = task_function
        super().setup(hydra_context=hydra_context, task_function=KeepTraceback(task_function), config=config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run every job of the sweep, or of the sweep of each preset.

        Args:
            arguments: Overrides of the application, as typed.

        Returns:
            The results of the jobs, a sequence for each batch.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong.
            RefusedJobsError: If jobs cannot be composed, or their settings are wrong.
            FailedJobsError: After the last job, if any failed.
        """
        presets = split_presets(self._parser(), arguments)
        if presets == [arguments]:
            self.prepare(arguments)
            return self.run()
        sweepers: list[StackSweeper] = []
        for words in presets:  # all are checked before the first trains
            sweeper = preset_sweeper(self.hydra_context, self.task_function, self.config, words)
            if not isinstance(sweeper, StackSweeper):
                raise CompactHydraException(f"Expected `hydra/sweeper` to be stack or tune, got that of {words[-1]}.")
            sweeper.prepare(words)
            sweepers.append(sweeper)
        return self._run_presets([words[-1] for words in presets], sweepers)

    def _run_presets(self, presets: list[str], sweepers: Sequence["StackSweeper"]) -> list[Sequence[JobReturn]]:
        returns: list[Sequence[JobReturn]] = []
        failed: list[str] = []
        for num, (preset, sweeper) in enumerate(zip(presets, sweepers, strict=True), start=1):
            log.info("%s (%d of %d)", preset, num, len(presets))
            try:
                returns += sweeper.run()
            except FailedJobsError:
                failed.append(preset)
                if self._fail_fast():
                    failed += [f"{each} (not started)" for each in presets[num:]]
                    break
        if failed:
            print(f"{len(failed)} of {len(presets)} sweeps did not finish: {', '.join(failed)}", file=sys.stderr)
            raise FailedJobsError(1)
        return returns

    def prepare(self, arguments: list[str]) -> None:
        """Compose and validate every job of the sweep, without writing anything.

        Args:
            arguments: Overrides of the application, as typed.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong.
            RefusedJobsError: If jobs cannot be composed, or their settings are wrong.
        """
        self._check_settings()
        self._requested = self._jobs(arguments)
        self._folders = self._validate_all(self._requested)

    def run(self) -> list[Sequence[JobReturn]]:
        """Run every job that ``prepare`` has found, and return the results, a sequence for each batch.

        Raises:
            FailedJobsError: After the last job, if any failed.
        """
        schedules = self._schedules(self._requested, getattr(self.launcher, "workers", 1))
        batches = self._labelled(schedules)

        sweep_dir = Path(self.config.hydra.sweep.dir)
        sweep_dir.mkdir(parents=True, exist_ok=True)
        self._write_manifests(self._requested, self._folders)
        with replacing_file(sweep_dir / "multirun.yaml") as scratch:  # another launch of the sweep may write the same
            OmegaConf.save(self.config, scratch)
        returns = self._launch(schedules, batches)
        labelled = [job for batch in batches for job in batch]
        # A launcher that only submits its jobs may return fewer results.
        results = zip(labelled, (result for batch in returns for result in batch), strict=False)
        failures = [
            Failure(num, error, self._rerun_command(narrowed(without_labels(job), error), num))
            for num, (job, result) in enumerate(results)
            if result.status == JobStatus.FAILED
            for error in [result._return_value]  # `return_value` would raise it
        ]
        if failures:
            raise_failures(failures, len(labelled), started=sum(map(len, returns)))
        return returns

    def schedules(self, arguments: list[str], workers: int) -> list[Schedule]:
        """Return the schedule of each batch of the sweep, without running it.

        Args:
            arguments: Overrides of the application, as typed.
            workers: Number of workers that run the jobs.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong.
        """
        self._check_settings()
        return self._schedules(self._jobs(arguments), workers)

    def _check_settings(self) -> None:
        # Not in `__init__`, whose errors Hydra would wrap.
        require_whole("max_batch_size", self.max_batch_size)
        require_whole("stack_size", self.stack_size)

    def _schedules(self, jobs: list[list[str]], workers: int) -> list[Schedule]:
        size = self.max_batch_size or (1 if self._fail_fast() else max(1, len(jobs)))
        batches = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        return [Schedule.of(self.config, batch, workers).filled() for batch in batches]

    def _labelled(self, schedules: Sequence[Schedule]) -> list[list[list[str]]]:
        """Return the overrides of every job, in batches."""
        hydra = self.config.hydra
        jobs = [job for schedule in schedules for job in schedule.jobs]
        labelled = iter(label_parts(jobs, hydra.job.name, hydra.output_subdir))
        return [list(islice(labelled, len(schedule.jobs))) for schedule in schedules]

    def _jobs(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of every job that is to be scheduled."""
        return self._union(self._parser(), arguments)

    def _parser(self) -> OverridesParser:
        return OverridesParser.create(config_loader=self.hydra_context.config_loader)

    def _union(self, parser: OverridesParser, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of every job of every grid, once where the command line makes several alike."""
        jobs: dict[tuple[str, ...], list[str]] = {}
        for grid in self.grids:
            given = parser.parse_overrides([*self._parse_config(), *shlex.split(grid), *arguments])
            [product] = self.split_arguments(stack_seeds(given, self.stack_size), None)
            jobs.update((tuple(sorted(job)), list(job)) for job in product)
        return [*jobs.values()]

    def _launch(
        self, schedules: Sequence[Schedule], batches: Sequence[Sequence[Sequence[str]]]
    ) -> list[Sequence[JobReturn]]:
        returns: list[Sequence[JobReturn]] = []
        launched = 0
        parts = PartsOfConditions(schedules)
        for schedule, batch in zip(schedules, batches, strict=True):
            returns.append(self.launcher.launch(batch, initial_job_idx=launched))
            launched += len(batch)
            parts.show_finished(schedule, returns[-1])
            if self._fail_fast() and any(result.status == JobStatus.FAILED for result in returns[-1]):
                break
        return returns

    def _fail_fast(self) -> bool:
        return OmegaConf.select(self.config, "fail_fast", default=False) is True

    def _compose(self, job: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(job))

    def _validate_all(self, jobs: Sequence[Sequence[str]]) -> list[Path]:
        """Return the directory of every job, or raise what is wrong with any of them."""
        folders: list[Path] = []
        refused: dict[str, tuple[Exception, list[Sequence[str]]]] = {}
        for num, job in enumerate(jobs):
            try:
                folders.append(self._validate(job, num))
            except (HydraException, OmegaConfBaseException, SettingsError) as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                refused.setdefault(str(error), (error, []))[1].append(job)
        if refused:
            raise RefusedJobsError(refused.values(), jobs)
        return folders

    def _validate(self, job: Sequence[str], num: int) -> Path:
        """Return the directory of a job, or raise what is wrong with it: its composition, or what a callback raises."""
        config = self._compose(job)
        for callback in self.hydra_context.callbacks.callbacks:
            if validate := getattr(callback, "validate", None):
                validate(config)
        return Path(*resolve_folder(config, num).values())

    def _write_manifests(self, jobs: Sequence[Sequence[str]], folders: Sequence[Path]) -> None:
        """Write the requested conditions into the studies whose directories carry fingerprints, before training."""
        studies: dict[Path, list[RequestedCondition]] = {}
        for job, folder in zip(Schedule.of(self.config, jobs, workers=1).jobs, folders, strict=True):
            if fingerprint := re.search(r"-([0-9a-f]{8})$", folder.name):
                seeds = {key: list(map(int, values)) for key, values in job.seeds.items()}
                requested = RequestedCondition(folder.name, fingerprint[1], list(job.condition), seeds)
                studies.setdefault(folder.parent, []).append(requested)
        for study, conditions in studies.items():
            write_manifest(study, conditions)

    def _rerun_command(self, job: Sequence[str], num: int) -> str:
        given = self.config.hydra.overrides
        return rerun_command([*job, *self._pinned_folder(job, num)], task=given.task, hydra=given.hydra)

    def _pinned_folder(self, job: Sequence[str], num: int) -> list[str]:
        """Overrides that keep a job in its folder, where alone or later it would go to another."""
        config = self._compose(job)
        folder = resolve_folder(config, num)
        OmegaConf.clear_cache(config)
        alone = resolve_folder(config, 0)
        dated = "now" in OmegaConf.get_cache(config)
        return [
            f"{key}={QuotedString(value, Quote.double).with_quotes()}"
            for key, value in folder.items()
            if dated or alone[key] != value
        ]


def resolve_folder(config: DictConfig, num: int) -> dict[str, str]:
    """Resolve the folder of a composed job in the way in which the launchers do."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.id = config.hydra.job.num = num
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)
        return {key: str(OmegaConf.select(config, key)) for key in ("hydra.sweep.dir", "hydra.sweep.subdir")}
    finally:
        HydraConfig.instance().cfg = before


def require_whole(name: str, value: Any, min_value: int = 1) -> None:
    """Raise unless a setting of a sweeper is an integer of at least ``min_value``, or null."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < min_value):
        raise CompactHydraException(
            f"Expected `hydra.sweeper.{name}` to be an integer of at least {min_value}, got {value}."
        )
