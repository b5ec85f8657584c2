import inspect
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn

from hydra_plugins.cluster_launcher._job import Job
from hydra_plugins.cluster_launcher._launcher import ClusterLauncher, first_line, refusal


class JoblibLauncher(ClusterLauncher):
    """Runs the jobs in processes on this machine, through joblib.

    It has the name of Hydra's official plugin, hydra-joblib-launcher, and takes its place. It differs in that a job
    that fails or whose process is lost is reported as a failed job, and that any argument of ``joblib.Parallel`` is
    accepted. Joblib ends all of its processes when it loses one: the jobs that were not finished are lost with it.

    Args:
        parallel: Arguments of ``joblib.Parallel``; its backend is always ``loky``, as Hydra needs processes.
    """

    package = extra = "joblib"

    def __init__(self, **parallel: Any) -> None:
        self.arguments = {"pre_dispatch": "all", "batch_size": 1} | parallel | {"backend": "loky"}

    def check(self) -> None:
        """Check the arguments of ``joblib.Parallel``."""
        import joblib

        try:
            if unknown := self.arguments.keys() - inspect.signature(joblib.Parallel).parameters.keys():
                raise TypeError(f"unknown: {', '.join(unknown)}")  # joblib ignores them
            self.parallel = joblib.Parallel(**self.arguments, return_as="generator")
            if self.parallel.n_jobs == 0 or not isinstance(self.parallel.n_jobs, int):
                raise ValueError("n_jobs is -1 or a number of processes")
        except (TypeError, ValueError) as error:
            raise refusal("hydra.launcher", "arguments of joblib.Parallel", error, self.arguments) from None

    def submit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Start the jobs."""
        import joblib

        self.results = self.parallel(joblib.delayed(job)() for job in jobs)
        return jobs

    def wait(self, handle: Job) -> JobReturn | str:
        """Wait for the next job; results come in the order of the jobs."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            return next(self.results, "joblib has ended all of its processes with another one")
        except BrokenProcessPool as error:
            return first_line(error)

    def stop(self, handles: Sequence[Job]) -> None:
        """End the processes that still run."""
        self.results.close()
