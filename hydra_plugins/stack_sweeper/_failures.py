import os
import shlex
import sys
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hydra.errors import CompactHydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig

_TRACEBACK = "_stack_sweeper_traceback"


class FailedJobsError(SystemExit):
    """The end, with code 1, of a sweep with failed jobs, which have been printed."""


@dataclass(frozen=True)
class KeepTraceback:
    """A task function whose errors carry their traceback as text.

    A launcher that runs jobs in other processes pickles what they raise, and pickling drops the traceback.
    """

    task_function: TaskFunction

    @property
    def together(self) -> Any:
        """What the application trains several jobs together with, or None."""
        return getattr(self.task_function, "together", None)

    def __call__(self, config: DictConfig) -> Any:
        """Run the task."""
        try:
            return self.task_function(config)
        except Exception as error:
            vars(error)[_TRACEBACK] = traceback.format_exc()
            raise


@dataclass(frozen=True)
class Failure:
    """A job of a sweep that raised."""

    num: int  # number of the job in its sweep
    error: Exception  # the error that it raised
    command: str  # the command that runs this job alone

    @property
    def headline(self) -> str:
        """The error in one line; an expected one speaks for itself, without its type."""
        message = str(self.error).strip().partition("\n")[0]
        kind = type(self.error).__name__
        if isinstance(self.error, CompactHydraException):
            return message or kind
        return f"{kind}: {message}" if message else kind

    @property
    def details(self) -> str:
        """The lines below the headline: a traceback, or the other lines of an expected error."""
        if isinstance(self.error, CompactHydraException):
            message = str(self.error).strip()
            return message if "\n" in message else ""
        text = vars(self.error).get(_TRACEBACK) or "".join(traceback.format_exception(self.error))
        return text.rstrip()


def narrowed(job: Sequence[str], error: Exception) -> list[str]:
    """Return a job's overrides, but those in the attribute ``overrides`` of its error, if any, in place of their like.

    With that attribute an application names the part of a job that has to be run again.

    Example:
        >>> error = ValueError("unlucky")
        >>> error.overrides = ["seed=[3]"]
        >>> narrowed(["loss=ce", "seed=[1,2,3]"], error)
        ['loss=ce', 'seed=[3]']
    """
    narrower: list[str] = list(getattr(error, "overrides", []))
    keys = {word.partition("=")[0] for word in narrower}
    return [word for word in job if word.partition("=")[0] not in keys] + narrower


def rerun_command(overrides: Sequence[str], task: Collection[str], hydra: Collection[str]) -> str:
    """Write the command that was typed with one job's overrides in place of the sweep's.

    Args:
        overrides: Overrides of the job.
        task: Overrides of the application that were typed, or that were read where others of their keys were typed.
        hydra: Overrides of Hydra itself that were typed.

    Returns:
        A line for the shell.
    """
    keys = {_key(word) for word in task}
    typed = [word for word in sys.orig_argv if word not in task and not ("=" in word and _key(word) in keys)]
    typed.sort(key=lambda word: word in hydra)  # argparse requires consecutive overrides: flags go first
    return shlex.join([*typed, *overrides])


def raise_failures(failures: Sequence[Failure], jobs: int, started: int) -> NoReturn:
    """Print every failed job's error and the command that reruns it, and exit.

    Args:
        failures: The failed jobs, at least one.
        jobs: Number of jobs in the sweep.
        started: Number of those that were started.

    Raises:
        FailedJobsError: With code 1.
        Exception: The first job's own one, where ``HYDRA_FULL_ERROR=1`` asks for it.
    """
    lines = [f"Job {failure.num}: {failure.details}" for failure in failures if failure.details]
    left = f", {jobs - started} were not started" if started < jobs else ""
    lines.append(f"{len(failures)} of {jobs} jobs failed{left}:")
    for failure in failures:
        lines += [f"Job {failure.num}: {failure.headline}", f"  rerun: {failure.command}"]
    print(*lines, sep="\n", file=sys.stderr, flush=True)
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise failures[0].error
    raise FailedJobsError(1)


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
