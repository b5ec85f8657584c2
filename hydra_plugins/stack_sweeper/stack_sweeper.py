import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hydra_plugins.stack_sweeper._failures import Failure, KeepTraceback, narrowed, raise_failures, rerun_command
from hydra_plugins.stack_sweeper._parts import label_parts
from hydra_plugins.stack_sweeper._seeds import stack_seeds
from src.storage.atomic import replacing_file


class StackSweeper(BasicSweeper):
    """Hydra's basic sweeper, but a sweep over ``seed`` or ``seeds.*`` is one job with lists of seeds.

    ``--multirun loss=mse,ce 'seed=range(20)'`` is two jobs, each with ``seed=[0,1,...,19]``, for an application that
    runs many seeds at once. Everything else is swept as ever. Beyond that:

    - Every job is composed, validated by each of ``hydra.callbacks`` that has a method ``validate(config)``, and its
      directory resolved, before anything is written: the first error ends the sweep there.
    - Jobs that share a folder, as they have parts of the same seeds, keep a configuration and a log each.
    - A job that fails does not keep the next ones from running, unless the application has a setting ``fail_fast``
      that is true: then jobs run one by one, or in batches of ``max_batch_size``, and none starts after a failure. All
      failures are listed at the end, each with the command that reruns it, and the exit code is 1.

    Args:
        max_batch_size: Most jobs that are given to the launcher at once, at least 1; ``None`` for all of them.
        params: Overrides to sweep over, as on the command line, which has precedence.
        stack_size: Most members in one job, at least 1; ``None`` for all of them.
        grids: Further overrides, each a line such as ``model=a,b loss=c``. The product is taken of each with ``params``
            and the command line, which has precedence over both, and the sweep is the union of these products.
    """

    # Set by `setup`, which Hydra calls before `sweep`.
    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher
    overrides: Sequence[Sequence[Sequence[str]]]

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        stack_size: int | None = None,
        grids: Sequence[str] | None = None,
    ) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.grids = grids or [""]
        self.stack_size = stack_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up."""
        super().setup(hydra_context=hydra_context, task_function=KeepTraceback(task_function), config=config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run every job of the sweep.

        Args:
            arguments: Overrides of the application, as typed.

        Returns:
            The results of the jobs, a sequence for each batch.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong, or a job cannot be composed.
            SystemExit: With code 1 after the last job, if any failed.
        """
        self.overrides = self.batches(arguments)
        jobs = [job for batch in self.overrides for job in batch]
        sweep_dir = Path(self.config.hydra.sweep.dir)
        for num, job in enumerate(jobs):
            self._validate(job, num)

        sweep_dir.mkdir(parents=True, exist_ok=True)
        with replacing_file(sweep_dir / "multirun.yaml") as scratch:  # another launch of the sweep may write the same
            OmegaConf.save(self.config, scratch)
        returns = self._launch()
        # A launcher that only submits its jobs may return fewer results.
        results = zip(jobs, (result for batch in returns for result in batch), strict=False)
        failures = [
            Failure(num, error, self._rerun_command(narrowed(job, error), num))
            for num, (job, result) in enumerate(results)
            if result.status == JobStatus.FAILED
            for error in [result._return_value]  # `return_value` would raise it
        ]
        if failures:
            raise_failures(failures, len(jobs), started=sum(map(len, returns)))
        return returns

    def batches(self, arguments: list[str]) -> list[list[list[str]]]:
        """Return the overrides of every job of the sweep, in batches.

        Args:
            arguments: Overrides of the application, as typed.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong.
        """
        # Not checked in `__init__`, whose errors Hydra would wrap.
        require_whole("max_batch_size", self.max_batch_size)
        require_whole("stack_size", self.stack_size)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        jobs = self._union(parser, arguments)
        hydra = self.config.hydra
        labelled = label_parts(jobs, hydra.job.name, hydra.output_subdir)
        most = self.max_batch_size or (1 if self._fail_fast() else len(jobs))
        return [list(batch) for batch in self.split_overrides_to_chunks(labelled, most)]

    def _union(self, parser: OverridesParser, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of every job of every grid, once where the command line makes several alike."""
        jobs: dict[tuple[str, ...], list[str]] = {}
        for grid in self.grids:
            given = parser.parse_overrides([*self._parse_config(), *shlex.split(grid), *arguments])
            [product] = self.split_arguments(stack_seeds(given, self.stack_size), None)
            jobs.update((tuple(sorted(job)), list(job)) for job in product)
        return [*jobs.values()]

    def _launch(self) -> list[Sequence[JobReturn]]:
        returns: list[Sequence[JobReturn]] = []
        launched = 0
        while not self.is_done():
            batch = self.get_job_batch()
            returns.append(self.launcher.launch(batch, initial_job_idx=launched))
            launched += len(batch)
            if self._fail_fast() and any(result.status == JobStatus.FAILED for result in returns[-1]):
                break
        return returns

    def _fail_fast(self) -> bool:
        return OmegaConf.select(self.config, "fail_fast", default=False) is True

    def _compose(self, job: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(job))

    def _validate(self, job: Sequence[str], num: int) -> None:
        """Raise what is wrong with a job: its composition, its directory, or what a callback's ``validate`` raises."""
        config = self._compose(job)
        for callback in self.hydra_context.callbacks.callbacks:
            if validate := getattr(callback, "validate", None):
                validate(config)
        resolve_folder(config, num)

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


def require_whole(name: str, value: Any, least: int = 1) -> None:
    """Raise unless a setting of a sweeper is an integer of at least ``least``, or null."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise CompactHydraException(
            f"Expected `hydra.sweeper.{name}` to be an integer of at least {least}, got {value}."
        )
