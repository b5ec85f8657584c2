"""Collection of the results of studies in one table."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pandas as pd

from src.analysis.runs import identity, runs_table
from src.storage.manifest import read_manifests
from src.storage.schema import COMPLETED, FAILED, RESULTS, ArtifactError, Results, read_results, seed_folders
from src.storage.stack_table import broken_stacks
from src.utils.seeds import PURPOSES, SEED_KEYS

_RELATIVE_TOLERANCE = 1e-6  # between two runs of the same seed
_MAX_NAMES = 4  # missing runs of a crossed design named in one line

Progress = Callable[[Sequence[Path], str], Iterable[Path]]


@dataclass(frozen=True)
class Collection:
    """The runs of one or more studies, and one line for each problem.

    Attributes:
        runs: One row per run, sorted by label, classes and seeds, with the columns label, study, condition,
            fingerprint, loss, model, data, classes, each setting in which the conditions differ, seed and the seeds of
            the random
            streams (``SEED_KEYS``), status, seconds, each metric, and the path of its folder. Rows of one condition
            share a fingerprint, and no two conditions share both label and classes.
        failed: Runs that failed, and why; they are in ``runs`` too, without metrics.
        unreadable: Results that are missing or broken.
        disagreeing: Runs left out because an earlier folder has the same condition and seed, and other results.
        repeated: Runs left out because an earlier folder has the same condition, seed and results.
        missing: Seeds that another condition of the same study has, or that a sweep requested.
        results: The content of ``results.json`` of each row of ``runs``, in no order.
    """

    runs: pd.DataFrame
    failed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    results: list[Results] = field(default_factory=list)

    @property
    def completed(self) -> pd.DataFrame:
        """The rows of the runs that completed."""
        return self.runs[self.runs["status"] == COMPLETED]

    @property
    def predicted(self) -> pd.DataFrame:
        """The rows of the completed runs with predictions, which ``predictions=false`` turns off."""
        without = {
            (each.fingerprint, *identity(each)) for each in self.results if each.config.get("predictions") is False
        }
        rows = self.completed[["fingerprint", *SEED_KEYS]].itertuples(index=False, name=None)
        return self.completed[[row not in without for row in rows]]

    @property
    def problems(self) -> dict[str, list[str]]:
        """The lists of lines by their headings."""
        return {
            "failed": self.failed,
            "unreadable": self.unreadable,
            "disagreeing": self.disagreeing,
            "repeated": self.repeated,
            "missing": self.missing,
        }

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that any run has."""
        first, last = self.runs.columns.get_loc("seconds"), self.runs.columns.get_loc("folder")
        return list(self.runs.columns[first + 1 : last])


def without_progress(folders: Sequence[Path], _: str) -> Iterable[Path]:
    """Show no progress."""
    return folders


def collect(studies: Iterable[Path], progress: Progress = without_progress) -> Collection:
    """Read ``results.json`` of every seed of every condition of some studies.

    Args:
        studies: Folders of studies. A folder named twice is read once.
        progress: Wraps the folders that are read, to show a progress bar.

    Raises:
        ArtifactError: If a study is not a folder.
    """
    distinct = list({study.resolve(): study for study in studies}.values())
    folders = {study: seed_folders(study) for study in distinct}
    read: dict[Path, Results] = {}
    first: dict[tuple[str, tuple[int, ...]], Path] = {}
    unreadable, repeated, disagreeing = [], [], []
    for folder in progress([*chain(*folders.values())], "results"):
        try:
            results = _read(folder)
        except ArtifactError as error:
            unreadable.append(_one_line(str(error)))
            continue
        earlier = first.setdefault((results.fingerprint, identity(results)), folder)
        if earlier == folder:
            read[folder] = results
        elif difference := _disagreement(read[earlier], results):
            disagreeing.append(f"{folder} is left out: {difference} in {earlier}, of the same condition and seed")
        else:
            repeated.append(f"{folder} repeats {earlier}")
    unreadable += [line for study in distinct for path in sorted(study.iterdir()) for line in broken_stacks(path)]
    failed = [f"{folder}: {_one_line(str(each.error))}" for folder, each in read.items() if each.status == FAILED]
    missing = [line for study in distinct for line in _missing_seeds(study, folders[study])]
    return Collection(runs_table(read), failed, unreadable, disagreeing, repeated, missing, list(read.values()))


def _read(folder: Path) -> Results:
    """Read the results of a run and check them against the name of its folder and the range of accuracies."""
    results = read_results(folder)
    named = dict(word.split("=") for word in folder.name.split(","))
    own = dict(zip(("seed", *PURPOSES), identity(results), strict=True))
    if any(int(value) != own[name] for name, value in named.items()):
        raise ArtifactError(f"{folder} holds the results of {','.join(f'{name}={own[name]}' for name in named)}")
    if results.classes < 2:
        raise ArtifactError(f"{folder / RESULTS}: expected at least 2 classes, got {results.classes}")
    for name, value in results.metrics.items():
        if name.endswith("/accuracy") and not 0 <= value <= 1:
            raise ArtifactError(f"{folder / RESULTS}: expected {name} to be in [0, 1], got {value!r}")
    return results


def _disagreement(kept: Results, other: Results) -> str | None:
    """Return how one run differs from another of the same condition and seed, or None."""
    if kept.status != other.status:
        return f"it is {other.status}, against {kept.status}"
    shared = kept.metrics.keys() & other.metrics.keys()
    for name in [*sorted(shared), *sorted((kept.metrics.keys() | other.metrics.keys()) - shared)]:
        mine, theirs = kept.metrics.get(name), other.metrics.get(name)
        if mine is None or theirs is None or not math.isclose(mine, theirs, rel_tol=_RELATIVE_TOLERANCE):
            return f"its {name} is {_shown(theirs)}, against {_shown(mine)}"
    return None


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:.6g}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _missing_seeds(study: Path, folders: Iterable[Path]) -> list[str]:
    """Return the conditions of a study that lack seeds which another one has, or which a sweep requested."""
    runs: dict[str, set[str]] = {path.parent.name: set() for path in study.glob("*/.hydra")}
    names: dict[str, None] = {}  # in the order of the folders, which is by number
    for folder in folders:
        runs.setdefault(folder.parent.name, set()).add(folder.name)
        names.setdefault(folder.name)
    existing = {name.rpartition("-")[2]: name for name in runs}  # by fingerprint, as readable parts may differ
    for requested in chain.from_iterable(read_manifests(study)):
        runs.setdefault(existing.get(requested.fingerprint, requested.name), set())
        names |= dict.fromkeys(requested.seed_folders())
    lines = []
    for condition, present in sorted(runs.items()):
        absent = [name for name in names if name not in present]
        plain = sorted(int(name.removeprefix("seed=")) for name in absent if "," not in name)
        texts = [ranges(plain)] * bool(plain) + [name for name in absent if "," in name]
        if texts:
            more = f" and {len(texts) - _MAX_NAMES} more" if len(texts) > _MAX_NAMES else ""
            lines.append(f"{study / condition}: {'; '.join(texts[:_MAX_NAMES])}{more}")
    return lines


def ranges(numbers: Sequence[int]) -> str:
    """Return sorted integers as text, with consecutive ones shortened.

    Example:
        >>> ranges([0, 3, 7, 8, 9]), ranges([4]), ranges([0, 1])
        ('seeds 0, 3, 7-9', 'seed 4', 'seeds 0-1')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"
