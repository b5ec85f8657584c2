import importlib.util
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.cluster_launcher._job import Job, prepare_jobs

log = logging.getLogger(__name__)


class ClusterLauncher(Launcher):
    """Submits each job of a sweep to an engine that runs it in another process, and waits for all of them.

    A job whose process is lost fails; the others continue. An interrupt stops all of them.

    Attributes:
        package: Package of the engine.
        extra: Extra that installs it.
    """

    package: ClassVar[str]
    extra: ClassVar[str]

    # Set by `setup`, which Hydra calls before `launch`.
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    @abstractmethod
    def check(self) -> None:
        """Raise a CompactHydraException if a setting is wrong, before anything is written."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Submit the jobs and return a handle for each."""

    @abstractmethod
    def wait(self, handle: Any) -> JobReturn | str:
        """Wait for one job and return its result, or one line on how its process was lost."""

    @abstractmethod
    def stop(self, handles: Sequence[Any]) -> None:
        """End the jobs that still run, and disconnect from the engine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up, and check that the engine is installed.

        Raises:
            CompactHydraException: If the engine is not installed or a setting is wrong.
        """
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        if importlib.util.find_spec(self.package) is None:
            name = config.hydra.runtime.choices["hydra/launcher"]
            raise CompactHydraException(
                f"Expected `hydra/launcher` to be one that is installed, got {name}, which needs the package "
                f"{self.package}: pip install -e '.[{self.extra}]'"
            )
        self.check()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs and return their results in the order of the jobs."""
        jobs = prepare_jobs(self, job_overrides, initial_job_idx, f"with {self.package}")
        handles = self.submit(jobs)
        try:
            return [self._result(job, handle) for job, handle in zip(jobs, handles, strict=True)]
        finally:
            self.stop(handles)

    def _result(self, job: Job, handle: Any) -> JobReturn:
        result = self.wait(handle)
        if isinstance(result, str):
            result = job.failed(CompactHydraException(f"its process was lost, finished seeds are kept: {result}"))
        log.info("\t#%d : %s", job.num, result.status.name.lower())
        return result


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]


def refusal(setting: str, rule: str, error: BaseException, value: Any) -> CompactHydraException:
    """Return the error for a setting that an engine refuses."""
    return CompactHydraException(f"Expected `{setting}` to be {rule} ({first_line(error)}), got {value}.")
