import logging
from collections.abc import Sequence
from pathlib import Path

# hydra-core is pinned below 1.4, as the modules in hydra._internal may change between its minor versions.
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.cluster_launcher._job import prepare_jobs, run_together, trained_together
from src.parallel.cpu import available_cpus
from src.parallel.process_pool import ProcessPool
from src.parallel.progress import Display
from src.parallel.schedule import Schedule

log = logging.getLogger(__name__)


class CoresLauncher(BasicLauncher):
    """Runs the jobs of a sweep in worker processes on this machine, by default one per core, in the schedule's order.

    Start-up is paid once: with ``fork``, workers begin with all that this process has imported. Jobs are handed out
    one at a time, a worker that dies costs only its own job, and one display shows the progress of all, which
    Hydra's own joblib launcher does not offer.

    Args:
        workers: Maximum number of processes, at least 1; ``None`` for one per core that this process may use.
    """

    def __init__(self, workers: int | None = None) -> None:
        super().__init__()
        self._requested = workers

    @property
    def workers(self) -> int:
        """Maximum number of processes.

        Raises:
            CompactHydraException: If the setting is not an integer of at least 1.
        """
        workers = available_cpus() if self._requested is None else self._requested
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise CompactHydraException(
                f"Expected `hydra.launcher.workers` to be null or an integer of at least 1, got {workers}."
            )
        return workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the setting before anything is written, and keep what the jobs need."""
        log.debug("up to %d workers", self.workers)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs and return their results in the order of the jobs; a single stack trains in this process."""
        assert self.config is not None  # noqa: S101 - set by setup
        stacks = Schedule.of(self.config, job_overrides, self.workers).stacks
        workers = min(self.workers, len(stacks))
        if workers < 2:
            returned = self._run_stacks_here(stacks, job_overrides, initial_job_idx)
            return [returned[index] for index in range(len(job_overrides))]
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = prepare_jobs(self, job_overrides, initial_job_idx, f"on {workers} cores")
        with Display([len(stack) for stack in stacks]) as display:
            pool = ProcessPool(lambda _, stack: run_together([jobs[index] for index in stack]), workers)
            results = pool.run(stacks, display.on_message)
        returned = {}
        for stack, result in zip(stacks, results, strict=True):
            values = result.value if result.error is None else [jobs[index].failed(result.error) for index in stack]
            returned |= dict(zip(stack, values, strict=True))
        return [returned[index] for index in range(len(jobs))]

    def _run_stacks_here(
        self, stacks: Sequence[Sequence[int]], job_overrides: Sequence[Sequence[str]], first: int
    ) -> dict[int, JobReturn]:
        """Run the jobs in this process, in their order except that those of a stack follow its first."""
        assert self.config is not None  # noqa: S101 - set by setup
        returned = {}
        for stack in sorted(stacks):
            jobs = [(first + index, job_overrides[index]) for index in stack]
            with trained_together(self.task_function, self.hydra_context, self.config, jobs):
                returned |= {num - first: self._run_here(job, num) for num, job in jobs}
        return returned

    def _run_here(self, job: Sequence[str], num: int) -> JobReturn:
        """Run a job in this process; an error of Hydra's own, such as a full disk, is the failure of this job only."""
        try:
            [result] = super().launch([job], num)
        except Exception as error:
            result = JobReturn(overrides=job, status=JobStatus.FAILED, _return_value=error)
        return result
