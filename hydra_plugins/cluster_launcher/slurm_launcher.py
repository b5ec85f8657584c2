import tempfile
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException

from hydra_plugins.cluster_launcher._job import Job
from hydra_plugins.cluster_launcher._launcher import ClusterLauncher, first_line, refusal


class SlurmLauncher(ClusterLauncher):
    """Runs the jobs as a SLURM job array through submitit, or as processes on this machine.

    Args:
        cluster: ``slurm``, or ``local`` for processes on this machine, all at the same time.
        folder: Directory of submitit's files, on a disk that the nodes share.
        parameters: Resources of a job, by submitit's names; those that only SLURM has start with ``slurm_``.
    """

    package = "submitit"
    extra = "slurm"

    def __init__(self, cluster: str, folder: str, parameters: dict[str, Any]) -> None:
        self.cluster = cluster
        self.folder = folder
        self.parameters = parameters

    def check(self) -> None:
        """Check the parameters, and that SLURM is installed."""
        if self.cluster not in ("slurm", "local"):
            raise CompactHydraException(f"Expected `hydra.launcher.cluster` to be slurm or local, got {self.cluster}.")
        with tempfile.TemporaryDirectory() as scratch:  # submitit would create the directory otherwise
            try:
                self._executor(scratch)
            except RuntimeError as error:
                raise refusal("hydra.launcher.cluster", "local where there is no SLURM", error, "slurm") from None
            except (AssertionError, NameError, TypeError, ValueError) as error:
                raise refusal("hydra.launcher.parameters", "submitit's", error, self.parameters) from None

    def submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Submit the jobs as one array."""
        executor = self._executor(self.folder)
        with executor.batch():
            return [executor.submit(job) for job in jobs]

    def wait(self, handle: Any) -> JobReturn | str:
        """Wait for one job of the array."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return handle.result()
        except (UncompletedJobError, FailedJobError, UnicodeDecodeError) as error:  # the log is read as UTF-8
            return f"{first_line(error)} See {handle.paths.stderr}"

    def stop(self, handles: Sequence[Any]) -> None:
        """Cancel the jobs that still run."""
        for handle in handles:
            if not handle.done():
                handle.cancel(check=False)

    def _executor(self, folder: str) -> Any:
        import submitit

        executor = submitit.AutoExecutor(folder, cluster=self.cluster)
        executor.update_parameters(**self.parameters)
        return executor
