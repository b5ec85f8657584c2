"""Read the results of whole studies into one table, and note what is not there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from src.analysis.settings import as_text, differing_settings, short_names
from src.artifacts import COMPLETED, FAILED, ArtifactError, Results, read_results, seed_folders

METRICS = (
    "train/loss",
    "train/accuracy",
    "test/loss",
    "test/accuracy",
    "test/correct",
    "test/count",
    "population/accuracy",
    "population/regret",
    "population/excess_ce",
    "population/calibration_error",
    "bayes/accuracy",
)
_BEFORE_SETTINGS = ("label", "study", "condition", "fingerprint", "loss", "model", "data", "classes")
_AFTER_SETTINGS = ("seed", "status", "seconds")
_FIXED = {*_BEFORE_SETTINGS, *_AFTER_SETTINGS, "folder"}

Progress = Callable[[Sequence[Path], str], Iterable[Path]]


@dataclass(frozen=True)
class Collection:
    """The runs of some studies, and one line for each thing that is wrong with them.

    Attributes:
        runs: A row a seed, sorted by label, classes and seed, with the columns label, study, condition, fingerprint,
            loss, model, data, classes, each setting in which the conditions differ, seed, status, seconds, each
            metric, and folder. Rows of one condition share a fingerprint, and no two conditions share both label and
            classes.
        failed: Runs that failed, and why; they are in ``runs`` too, without metrics.
        unreadable: Results that are missing or broken.
        repeated: Runs left out because an earlier folder has the same condition and seed.
        missing: Seeds that another condition of the same study has.
    """

    runs: pd.DataFrame
    failed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def completed(self) -> pd.DataFrame:
        """The rows of the runs that completed."""
        return self.runs[self.runs["status"] == COMPLETED]

    @property
    def problems(self) -> dict[str, list[str]]:
        """The four lists of lines by their headings."""
        return {
            "failed": self.failed,
            "unreadable": self.unreadable,
            "repeated": self.repeated,
            "missing": self.missing,
        }

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that any run has."""
        first, last = self.runs.columns.get_loc("seconds"), self.runs.columns.get_loc("folder")
        return list(self.runs.columns[first + 1 : last])


def collect(studies: Iterable[Path], progress: Progress = lambda folders, description: folders) -> Collection:
    """Read ``results.json`` of every seed of every condition of some studies.

    Args:
        studies: Folders of studies. A folder named twice is read once.
        progress: Wraps the folders that are being read, to show how far it is.

    Raises:
        ArtifactError: If a study is not a folder.
    """
    places = list({study.resolve(): study for study in studies}.values())
    folders = [folder for study in places for folder in seed_folders(study)]
    read: dict[Path, Results] = {}
    first: dict[tuple[str, int], Path] = {}
    unreadable, repeated = [], []
    for folder in progress(folders, "results"):
        try:
            results = _read(folder)
        except ArtifactError as error:
            unreadable.append(str(error))
            continue
        earlier = first.setdefault((results.fingerprint, results.seed), folder)
        if earlier == folder:
            read[folder] = results
        else:
            repeated.append(f"{folder} repeats {earlier}")
    failed = [_failure(folder, results) for folder, results in read.items() if results.status == FAILED]
    missing = [line for study in places for line in _missing_seeds(study)]
    return Collection(_table(read), failed, unreadable, repeated, missing)


def _read(folder: Path) -> Results:
    results = read_results(folder)
    if folder.name != f"seed={results.seed}":
        raise ArtifactError(f"{folder} holds the results of seed {results.seed}")
    return results


def _failure(folder: Path, results: Results) -> str:
    return f"{folder}: {' '.join(str(results.error).split())}"


def _missing_seeds(study: Path) -> list[str]:
    """Say which conditions of a study lack seeds that another one has."""
    seeds: dict[str, set[int]] = {path.parent.name: set() for path in study.glob("*/.hydra")}
    for folder in seed_folders(study):
        seeds.setdefault(folder.parent.name, set()).add(int(folder.name.removeprefix("seed=")))
    union = set().union(*seeds.values())
    absent = {condition: sorted(union - present) for condition, present in sorted(seeds.items())}
    return [f"{study / condition}: {ranges(numbers)}" for condition, numbers in absent.items() if numbers]


def ranges(numbers: Sequence[int]) -> str:
    """Return sorted whole numbers as text, with runs of them shortened.

    Example:
        >>> ranges([0, 3, 7, 8, 9])
        'seeds 0, 3, 7-9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"


def _table(read: Mapping[Path, Results]) -> pd.DataFrame:
    """Return one row a seed, in the order of ``Collection.runs``."""
    conditions = {results.fingerprint: results for results in read.values()}
    settings = dict(zip(conditions, differing_settings([*map(_comparable, conditions.values())]), strict=True))
    for each in settings.values():
        each.pop("loss", None)
    labels = _labels(conditions, settings)
    order = sorted(conditions, key=lambda name: _order(conditions[name], settings[name]))
    rank: dict[str, int] = {}
    for fingerprint in order:
        rank.setdefault(labels[fingerprint], len(rank))
    extra = [key for key in dict.fromkeys(chain(*(settings[name] for name in order))) if key not in _FIXED]
    named = {name for results in read.values() for name in results.metrics}.difference(_FIXED, extra)
    metrics = [*(name for name in METRICS if name in named), *sorted(named.difference(METRICS))]
    rows = [
        {
            **{key: _cell(value) for key, value in settings[results.fingerprint].items()},
            **results.metrics,
            **{name: getattr(results, name) for name in (*_BEFORE_SETTINGS[1:], *_AFTER_SETTINGS)},
            "label": labels[results.fingerprint],
            "folder": str(folder),
        }
        for folder, results in read.items()
    ]
    rows.sort(key=lambda row: (rank[row["label"]], row["classes"], row["seed"]))
    return pd.DataFrame(rows, columns=[*_BEFORE_SETTINGS, *extra, *_AFTER_SETTINGS, *metrics, "folder"])


def _comparable(results: Results) -> dict[str, Any]:
    """Return a configuration in which loss, model and data carry the names of their options."""
    config = dict(results.config)
    for group in ("loss", "model", "data"):
        inner = config.get(group)
        inside = dict(inner) if isinstance(inner, Mapping) else {}
        config[group] = {**inside, "_target_": getattr(results, group)}
    return config


def _labels(conditions: Mapping[str, Results], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name each condition by its loss and by what the conditions differ in; by its fingerprint too if need be."""
    extra = dict(zip(settings, short_names([*settings.values()]), strict=True))
    labels = {name: ", ".join(filter(None, [results.loss, extra[name]])) for name, results in conditions.items()}
    taken: dict[tuple[str, int], list[str]] = {}
    for name, results in conditions.items():
        taken.setdefault((labels[name], results.classes), []).append(name)
    for names in taken.values():
        if len(names) > 1:
            labels.update({name: f"{labels[name]} ({name[:8]})" for name in names})
    return labels


def _order(results: Results, settings: Mapping[str, Any]) -> list[tuple[str, bool, float, str]]:
    """Return a sort key: by loss, then by each setting, numbers by value."""
    key = [("", False, 0.0, results.loss)]
    for name, value in settings.items():
        number = isinstance(value, int | float)
        key.append((name, not number, value if number else 0.0, "" if number else as_text(value)))
    return key


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else as_text(value)
