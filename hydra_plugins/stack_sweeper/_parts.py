from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn

from src.experiments.summary_table import show_crossed
from src.parallel.schedule import Schedule, ScheduledJob, sets_seeds
from src.utils.console import stdout

LABELS = ("hydra.job.name", "hydra.output_subdir", "hydra.sweeper.part")


class PartsOfConditions:
    """Shows the closing table of each condition that several jobs train parts of, once when the last of them ended.

    Args:
        schedules: All jobs of a sweep.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        counts = Counter(job.condition for schedule in schedules for job in schedule.jobs)
        self._left = {condition: count for condition, count in counts.items() if count > 1}
        self._seeds: defaultdict[tuple[str, ...], list[dict[str, list[str]]]] = defaultdict(list)
        self._directories: dict[tuple[str, ...], Path] = {}

    def show_finished(self, schedule: Schedule, results: Sequence[JobReturn]) -> None:
        """Take note of the jobs of one batch, and show the tables of the conditions of which no job is left."""
        for job, result in zip(schedule.jobs, results, strict=False):
            if job.condition not in self._left:
                continue
            self._seeds[job.condition].append(job.seeds)
            if result.hydra_cfg is not None:  # which a job lacks whose process was lost
                self._directories[job.condition] = Path(result.hydra_cfg.hydra.runtime.output_dir)
            self._left[job.condition] -= 1
            if self._left[job.condition] == 0 and job.condition in self._directories:
                show_crossed(stdout(), self._directories[job.condition], self._seeds[job.condition])


def label_parts(jobs: Sequence[ScheduledJob], job_name: str, output_subdir: str | None) -> list[list[str]]:
    """Give jobs of one condition, which share a directory, different file names in it.

    They may run at the same time, on any machine: each keeps its configuration in a directory, and its log in a file,
    that is named by its seeds, and ``hydra.sweeper.part`` numbers them.

    Args:
        jobs: The jobs.
        job_name: Hydra's name of the job, which is also that of its log.
        output_subdir: Hydra's directory for the configuration of a job, or ``None`` for none.

    Returns:
        The overrides of each job, with labels added where a job is not the only one of its condition.
    """
    sharing = Counter(job.condition for job in jobs)
    parts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    labelled = []
    for job in jobs:
        words = list(job.overrides)
        if sharing[job.condition] > 1:
            words += _labels(words, job_name, output_subdir, parts[job.condition])
            parts[job.condition] += 1
        labelled.append(words)
    return labelled


def without_labels(job: Sequence[str]) -> list[str]:
    """Return the overrides of a job without what ``label_parts`` added: a rerun has the directory to itself."""
    return [word for word in job if word.partition("=")[0] not in LABELS]


def _labels(job: Sequence[str], job_name: str, output_subdir: str | None, part: int) -> list[str]:
    label = ",".join(_span(word) for word in job if sets_seeds(word))
    name = QuotedString(f"{job_name},{label}", Quote.double).with_quotes()
    labels = [f"hydra.job.name={name}", f"hydra.sweeper.part={part}"]
    if output_subdir is not None:
        labels.append(f"hydra.output_subdir={QuotedString(f'{output_subdir}/{label}', Quote.double).with_quotes()}")
    return labels


def _span(word: str) -> str:
    """Name an override of seeds by the first and last: ``seed=[4,5,6]`` becomes ``seed=4-6``."""
    key, _, value = word.lstrip("+").partition("=")
    seeds = value.strip("[]").split(",")
    return f"{key}={seeds[0]}" if len(seeds) == 1 else f"{key}={seeds[0]}-{seeds[-1]}"
