import logging
import os
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.cluster_launcher._job import Job
from hydra_plugins.stack_sweeper._seeds import KEYS
from src.parallel.process_pool import Pool
from src.parallel.progress import Display
from src.parallel.worker import Result, granted

log = logging.getLogger(__name__)

SHOWN = 100  # characters of an override in the list of jobs
SAMPLES = ("data.samples", "data.samples_per_class", "data.samples_per_corner")
SIZES = ("classes", *SAMPLES, "trainer.max_epochs")  # of a job's training


class CoresLauncher(BasicLauncher):
    """Runs the jobs of a sweep in one worker process a core of this machine, the longest first.

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
        singletons, folder = Singleton.get_state(), str(Path.cwd())
        jobs = [
            Job(num, list(overrides), self.hydra_context, self.config, self.task_function, singletons, folder)
            for num, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
        order = longest_first(self.config, job_overrides)

        def run(number: int, cores: int) -> JobReturn:
            with granted(cores):
                return jobs[order[number]]()

        with Display(len(jobs)) as display:
            ordered = Pool(run, workers).run(shares(len(jobs), self.workers), display.heard)
        results = dict(zip(order, ordered, strict=True))
        return [_returned(job, results[place]) for place, job in enumerate(jobs)]


def longest_first(config: DictConfig, jobs: Sequence[Sequence[str]]) -> list[int]:
    """Return the places of jobs in the order in which they start, so that no core waits long for the last one.

    How long a job takes is taken to go with its networks, points, classes and epochs. What else it may depend on, as
    the sizes of a network, is left out, and jobs that differ in nothing else keep their order.

    Args:
        config: The configuration of the sweep.
        jobs: The overrides of each job.

    Example:
        >>> config = OmegaConf.create({"classes": 2, "seed": 0})
        >>> longest_first(config, [["seed=[0,1]"], ["classes=4", "seed=[0,1]"], ["seed=[0,1,2]"], ["classes=3"]])
        [1, 2, 0, 3]
    """
    return sorted(range(len(jobs)), key=lambda place: _effort(config, jobs[place]), reverse=True)


def _effort(config: DictConfig, job: Sequence[str]) -> float:
    """Return the product of what a job's duration goes with."""
    given = dict(word.lstrip("+").split("=", 1) for word in job if "=" in word)
    values = {key: given.get(key) or str(OmegaConf.select(config, key)) for key in (*KEYS, *SIZES)}
    networks = [values[key].count(",") + 1 for key in KEYS if values[key].startswith("[")]
    return prod(networks) * prod(int(values[key]) for key in SIZES if values[key].isdecimal())


def shares(jobs: int, workers: int) -> list[int]:
    """Return how many cores each job may use, so that all have work until the end.

    As many jobs as fill all cores evenly have one each; those that are left over share all of them.

    Example:
        >>> shares(4, 2), shares(3, 2), shares(1, 2), shares(2, 8)
        ([1, 1, 1, 1], [1, 1, 2], [2], [4, 4])
    """
    left = jobs % workers
    return [1] * (jobs - left) + [workers // left] * left if left else [1] * jobs


def _returned(job: Job, result: Result) -> JobReturn:
    """Return what a job returned, or what stands for a job that its worker could not finish."""
    if result.error is not None:
        return JobReturn(overrides=job.overrides, status=JobStatus.FAILED, _return_value=result.error)
    returned: JobReturn = result.value
    return returned
