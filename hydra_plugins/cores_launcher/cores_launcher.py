import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.workers.display import Display
from src.workers.pool import Pool
from src.workers.worker import Result, granted

log = logging.getLogger(__name__)

SHOWN = 100  # characters of an override in the list of jobs


class CoresLauncher(BasicLauncher):
    """Runs the jobs of a sweep in one worker process a core of this machine.

    Start-up is paid once: where the system can fork, workers begin with all that this process has imported. That,
    one job a worker at a time with the next going to whoever is free, a worker's death that costs only its own job,
    and one display of progress for all, is what Hydra's joblib launcher does not do.

    Args:
        workers: Most processes at once, at least 1; ``None`` for one a core that this process may use.
    """

    def __init__(self, workers: int | None = None) -> None:
        super().__init__()
        self._asked = workers

    @property
    def workers(self) -> int:
        """Most processes at once.

        Raises:
            CompactHydraException: If the setting is not an integer of at least 1.
        """
        if self._asked is None:
            return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        if not isinstance(self._asked, int) or isinstance(self._asked, bool) or self._asked < 1:
            raise CompactHydraException(
                f"Expected `hydra.launcher.workers` to be null or an integer of at least 1, got {self._asked}."
            )
        return self._asked

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the setting, before anything is written, and keep what the jobs need."""
        log.debug("up to %d workers", self.workers)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every job and return the results in order; a single one runs in this process."""
        workers = min(self.workers, len(job_overrides))
        if workers < 2:
            with granted(self.workers):
                return super().launch(job_overrides, initial_job_idx)
        assert self.config is not None and self.hydra_context is not None and self.task_function is not None  # noqa: S101, PT018
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs on %d cores", len(job_overrides), workers)
        for number, job in enumerate(job_overrides, start=initial_job_idx):
            words = (word if len(word) <= SHOWN else f"{word[:SHOWN]}..." for word in filter_overrides(job))
            log.info("\t#%d : %s", number, " ".join(words))
        runner = _Job(initial_job_idx, self.hydra_context, self.config, self.task_function, Singleton.get_state())
        jobs = [*zip(job_overrides, shares(len(job_overrides), self.workers), strict=True)]
        with Display(len(jobs)) as display:
            results = Pool(runner.run, workers).run(jobs, display.heard)
        return [_returned(result) for result in results]


def shares(jobs: int, workers: int) -> list[int]:
    """Return how many cores each job may use, so that all have work until the end.

    As many jobs as fill all cores evenly have one each; those that are left over share all of them.

    Example:
        >>> shares(4, 2), shares(3, 2), shares(1, 2), shares(2, 8)
        ([1, 1, 1, 1], [1, 1, 2], [2], [4, 4])
    """
    left = jobs % workers
    return [1] * (jobs - left) + [workers // left] * left if left else [1] * jobs


@dataclass(frozen=True)
class _Job:
    """Runs a job of the sweep in a worker, as Hydra's basic launcher does."""

    first: int
    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction
    singletons: dict[Any, Any]

    def run(self, number: int, job: tuple[Sequence[str], int]) -> JobReturn:
        """Run the job of this number from its overrides, on some cores."""
        overrides, cores = job
        setup_globals()
        Singleton.set_state(self.singletons)
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = self.first + number
        with granted(cores):
            return run_job(
                hydra_context=self.hydra_context,
                task_function=self.task_function,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )


def _returned(result: Result) -> JobReturn:
    if result.error is None:
        returned: JobReturn = result.value
        return returned
    failed = JobReturn()
    failed.status = JobStatus.FAILED
    failed.return_value = result.error
    return failed
