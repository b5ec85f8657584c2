import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

MAX_SHOWN = 100  # characters of an override in the list of jobs


@dataclass(frozen=True)
class Job:
    """One job of a sweep with all that another process needs to run it."""

    num: int  # number of the job in its sweep
    overrides: Sequence[str]  # overrides of the job
    hydra_context: HydraContext  # composes its configuration
    config: DictConfig  # configuration of the sweep
    task_function: TaskFunction  # the application
    singletons: dict[Any, Any]  # state of Hydra in the process that launches
    folder: str  # working directory of that process, in which relative paths are resolved

    def __call__(self) -> JobReturn:
        """Run the job in this process, which is a worker, and return its result; an error of the task is part of it."""
        # The other cores run other jobs; numerical libraries read this when they are imported.
        self.enter()
        config = composed(self.hydra_context, self.config, self.overrides, self.num)
        try:
            return run_job(
                hydra_context=self.hydra_context,
                task_function=self.task_function,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        except SystemExit as stop:  # would end the worker, and with it the message
            return self.failed(CompactHydraException(str(stop.code)))
        except OSError as error:  # of Hydra's own files
            reason = f"Cannot write to {error.filename} ({error.strerror or error})."
            return self.failed(CompactHydraException(f"{reason} Finished seeds are kept; a rerun trains the rest."))

    def enter(self) -> None:
        """Set Hydra up in this process, which is a worker."""
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.chdir(self.folder)
        setup_globals()
        Singleton.set_state(self.singletons)

    def failed(self, error: Exception) -> JobReturn:
        """Return the result of a job that failed with an error, or whose process was lost."""
        return JobReturn(overrides=self.overrides, status=JobStatus.FAILED, _return_value=error)


def composed(context: HydraContext, config: DictConfig, overrides: Sequence[str], num: int) -> DictConfig:
    """Return the configuration of a job, which then is Hydra's, before anything is written for it."""
    job: DictConfig = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = num
    HydraConfig.instance().set_config(job)
    return job


@contextmanager
def trained_together(
    task_function: TaskFunction, context: HydraContext, config: DictConfig, jobs: Sequence[tuple[int, Sequence[str]]]
) -> Iterator[None]:
    """Let an application train several jobs, each with its number and overrides, before they run in the body.

    The task function of an application that can do so has an attribute ``together``, a context manager of the
    configurations of the jobs.
    """
    together = getattr(task_function, "together", None)
    if together is None or len(jobs) == 1:
        yield
        return
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)  # not into the log of the last job
    configs = []
    for num, overrides in jobs:
        job = composed(context, config, overrides, num)
        folder = Path(*(str(OmegaConf.select(job, key)) for key in ("hydra.sweep.dir", "hydra.sweep.subdir")))
        with read_write(job.hydra.runtime), open_dict(job.hydra.runtime):
            job.hydra.runtime.output_dir = str(folder.absolute())
        configs.append(job)
    with together(configs):
        yield


def run_together(jobs: Sequence[Job]) -> list[JobReturn]:
    """Run jobs in this process, which is a worker, and return their results."""
    first = jobs[0]
    first.enter()
    numbered = [(job.num, job.overrides) for job in jobs]
    with trained_together(first.task_function, first.hydra_context, first.config, numbered):
        return [job() for job in jobs]


def prepare_jobs(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int, workers: str) -> list[Job]:
    """Set Hydra up and log the jobs, as its own launchers do, and return them; ``workers`` describes what runs them."""
    setup_globals()
    configure_log(launcher.config.hydra.hydra_logging, launcher.config.hydra.verbose)
    singletons, folder = Singleton.get_state(), str(Path.cwd())
    log = logging.getLogger(type(launcher).__module__)
    log.info("Launching %d jobs %s", len(job_overrides), workers)
    jobs = []
    for num, overrides in enumerate(job_overrides, start=first):
        words = [word if len(word) <= MAX_SHOWN else f"{word[:MAX_SHOWN]}..." for word in filter_overrides(overrides)]
        log.info("\t#%d : %s", num, " ".join(words))
        context, task = launcher.hydra_context, launcher.task_function
        jobs.append(Job(num, list(overrides), context, launcher.config, task, singletons, folder))
    return jobs
