"""Provenance of the runs of a study: commands that reproduce them, versions and time."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from src.analysis.runs import identity
from src.storage.schema import Results
from src.utils.seeds import SEED_KEYS

_MAX_COMMANDS = 20
_SEEDS = tuple(f"{plus}{key}=" for plus in ("", "+", "++") for key in SEED_KEYS)


@dataclass(frozen=True)
class Provenance:
    """Provenance of results.

    Attributes:
        commands: Command lines that reproduce the runs, reconstructed from their overrides.
        versions: Versions of each package, and commits, by name; several where the runs differ.
        seconds: Wall-clock seconds of all training.
        runs: Number of runs.
    """

    commands: list[str]
    versions: dict[str, list[str]]
    seconds: float
    runs: int


def provenance(results: Sequence[Results]) -> Provenance:
    """Return the provenance of the runs of one or more studies."""
    names = list(dict.fromkeys(name for each in results for name in each.versions))
    versions = {name: sorted({str(each.versions[name]) for each in results if name in each.versions}) for name in names}
    stacks = {(each.study, each.fingerprint, each.seconds) for each in results}  # seeds that trained together
    studies = dict.fromkeys(each.study for each in results)
    lines = [line for study in studies for line in commands([each for each in results if each.study == study])]
    if len(lines) > _MAX_COMMANDS:
        lines = [*lines[:_MAX_COMMANDS], f"# and {len(lines) - _MAX_COMMANDS} more"]
    return Provenance(lines, versions, math.fsum(seconds for *_, seconds in stacks), len(results))


def commands(results: Sequence[Results]) -> list[str]:
    """Return ``command_words`` as lines for a shell."""
    return [shlex.join(words) for words in command_words(results)]


def command_words(results: Sequence[Results]) -> list[list[str]]:
    """Return one command for runs of a study that are a full product of its settings, otherwise one per condition.

    Each starts with ``python -m src.train``. The settings are those of the files, which others may have written.
    """
    conditions: dict[tuple[tuple[str, str], ...], list[Results]] = {}
    settings_of: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}  # by the words that runs share
    for each in results:
        words = tuple([word for word in each.overrides if not word.startswith(_SEEDS)])
        if words not in settings_of:
            settings_of[words] = tuple(_settings(words).items())
        conditions.setdefault(settings_of[words], []).append(each)
    keys = list(dict.fromkeys(key for settings in conditions for key, _ in settings))
    values = {key: list(dict.fromkeys(dict(each).get(key) for each in conditions)) for key in keys}
    seeds = {tuple(_seeds(runs).items()) for runs in conditions.values()}
    full_product = all(None not in found for found in values.values()) and len(seeds) == 1
    if full_product and math.prod(map(len, values.values())) == len(conditions):
        swept = {key: [str(value) for value in found] for key, found in values.items()}
        return [_command(swept, dict(next(iter(seeds))))]
    return [_command({key: [value] for key, value in settings}, _seeds(runs)) for settings, runs in conditions.items()]


def _settings(overrides: Iterable[str]) -> dict[str, str]:
    """Return the overrides of a run by key, except for its seeds."""
    pairs = (word.partition("=") for word in overrides)
    return {key: sign + value for key, sign, value in pairs if key.lstrip("+") not in SEED_KEYS}


def _seeds(results: Sequence[Results]) -> dict[str, tuple[int, ...]]:
    """Return the seeds, and those of each stream that does not follow them in all runs."""
    columns = dict(zip(SEED_KEYS, zip(*map(identity, results), strict=True), strict=True))
    own = columns["seed"]
    return {key: tuple(sorted({*found})) for key, found in columns.items() if key == "seed" or found != own}


def _command(settings: Mapping[str, Sequence[str]], seeds: Mapping[str, Sequence[int]]) -> list[str]:
    words = [f"{key}={','.join(value.removeprefix('=') for value in found)}" for key, found in settings.items()]
    words = [key if found == [""] else word for word, (key, found) in zip(words, settings.items(), strict=True)]
    words += [f"{key}={as_range(found)}" for key, found in seeds.items() if key == "seed" or len(found)]
    swept = any(len(found) > 1 for found in [*settings.values(), *seeds.values()])
    return ["python", "-m", "src.train", *["--multirun"] * swept, *words]


def as_range(numbers: Sequence[int]) -> str:
    """Return sorted integers as a Hydra sweep.

    Example:
        >>> as_range([0, 1, 2]), as_range([3, 4, 5]), as_range([1, 7]), as_range([4])
        ('range(3)', 'range(3,6)', '1,7', '4')
    """
    first, last = numbers[0], numbers[-1]
    if len(numbers) < 3 or last - first + 1 != len(numbers):
        return ",".join(map(str, numbers))
    return f"range({last + 1})" if first == 0 else f"range({first},{last + 1})"
