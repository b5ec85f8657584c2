from collections import Counter
from collections.abc import Sequence

from hydra.core.override_parser.types import Quote, QuotedString

from hydra_plugins.stack_sweeper._seeds import KEYS


def label_parts(jobs: Sequence[list[str]], job_name: str, output_subdir: str | None) -> list[list[str]]:
    """Give jobs that share a folder, as they differ in their seeds alone, files of their own in it.

    They may run at once, on any machine: each keeps its configuration in a folder, and its log in a file, that is
    named by its seeds.

    Args:
        jobs: Overrides of each job.
        job_name: Hydra's name of the job, which is also that of its log.
        output_subdir: Hydra's folder for the configuration of a job, or ``None`` for none.

    Returns:
        The overrides of each job, with those added that set the two names where a job is not alone.

    Example:
        >>> label_parts([["lr=1", "seed=[0,1]"], ["lr=1", "seed=[2]"], ["lr=2", "seed=[0,1]"]], "train", ".hydra")[1]
        ['lr=1', 'seed=[2]', 'hydra.job.name="train,seed=2"', 'hydra.output_subdir=".hydra/seed=2"']
    """
    sharing = Counter(condition_of(job) for job in jobs)
    return [job + _names(job, job_name, output_subdir) if sharing[condition_of(job)] > 1 else job for job in jobs]


def condition_of(job: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of a job that say which condition it is of: all but the seeds, and but Hydra's own."""
    return tuple(word for word in job if not sets_seeds(word) and not word.lstrip("+").startswith("hydra"))


def sets_seeds(word: str) -> bool:
    """Whether an override is one of seeds."""
    return word.partition("=")[0].lstrip("+") in KEYS


def _names(job: Sequence[str], job_name: str, output_subdir: str | None) -> list[str]:
    label = ",".join(_span(word) for word in job if sets_seeds(word))
    names = {"hydra.job.name": f"{job_name},{label}"}
    if output_subdir is not None:
        names["hydra.output_subdir"] = f"{output_subdir}/{label}"
    return [f"{name}={QuotedString(value, Quote.double).with_quotes()}" for name, value in names.items()]


def _span(word: str) -> str:
    """Name an override of seeds by the first and last: ``seed=[4,5,6]`` becomes ``seed=4-6``."""
    key, _, value = word.lstrip("+").partition("=")
    seeds = value.strip("[]").split(",")
    return f"{key}={seeds[0]}" if len(seeds) == 1 else f"{key}={seeds[0]}-{seeds[-1]}"
