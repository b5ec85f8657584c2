import os
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn

from hydra_plugins.cluster_launcher._job import Job
from hydra_plugins.cluster_launcher._launcher import ClusterLauncher, first_line, refusal


class RayLauncher(ClusterLauncher):
    """Runs each job as a Ray task: on the cluster at an address, or on one that it starts on this machine.

    It has the name of Hydra's official plugin, hydra-ray-launcher, and takes its place. It differs in its settings,
    ``init`` and ``remote`` instead of ``ray``, in that it starts no machines in a cloud, and in that a lost job is
    reported as a failed job.

    Args:
        init: Arguments of ``ray.init``.
        remote: Options of ``ray.remote``: the resources of a job, and how often a lost one is retried.
    """

    package = extra = "ray"

    def __init__(self, init: dict[str, Any], remote: dict[str, Any]) -> None:
        self.init = init
        self.remote = remote

    def check(self) -> None:
        """Check the options of ``ray.remote``."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
        import ray

        try:
            self.task = ray.remote(**self.remote)(_call)
        except (TypeError, ValueError) as error:
            raise refusal("hydra.launcher.remote", "options of ray.remote", error, self.remote) from None

    def submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Connect to the cluster, unless this process is connected to one, and start the tasks."""
        import ray

        self.connected = ray.is_initialized()
        if not self.connected:
            try:
                ray.init(**self.init)
            except (TypeError, ValueError, RuntimeError, ConnectionError) as error:
                raise refusal("hydra.launcher.init", "arguments of ray.init", error, self.init) from error
        return [self.task.remote(job) for job in jobs]

    def wait(self, handle: Any) -> JobReturn | str:
        """Wait for one task."""
        import ray

        try:
            return ray.get(handle)
        except ray.exceptions.RayError as error:
            return first_line(error)

    def stop(self, handles: Sequence[Any]) -> None:
        """Disconnect from the cluster, which ends the jobs that still run."""
        import ray

        if self.connected:
            for handle in handles:
                ray.cancel(handle, force=True)
        else:
            ray.shutdown()


def _call(job: Job) -> JobReturn:
    return job()
