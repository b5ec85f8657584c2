"""Manifests of a study: the conditions and seeds that its sweeps requested, written before any is trained."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from src.storage.atomic import replacing_file
from src.storage.schema import seed_folder

DIRECTORY = ".sweep"  # in the directory of the study


@dataclass(frozen=True)
class RequestedCondition:
    """A condition that a sweep requested.

    Attributes:
        name: Name of its directory, which ends with its fingerprint.
        fingerprint: Its fingerprint.
        overrides: The overrides that identify it.
        seeds: By key (``seed``, and ``seeds.*`` where streams are pinned) the lists of seeds that are crossed.
    """

    name: str
    fingerprint: str
    overrides: list[str]
    seeds: dict[str, list[int]]

    def seed_folders(self) -> list[str]:
        """Return the names of the directories of its seeds."""
        names = []
        for values in product(*self.seeds.values()):
            streams = {key.removeprefix("seeds."): value for key, value in zip(self.seeds, values, strict=True)}
            names.append(seed_folder(Path(), streams.pop("seed"), streams).name)
        return names


def write_manifest(study: Path, conditions: Sequence[RequestedCondition]) -> None:
    """Add the manifest of a sweep to its study; the same sweep has the same file, other sweeps add others."""
    text = json.dumps([asdict(condition) for condition in conditions], indent=1) + "\n"
    directory = study / DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    with replacing_file(directory / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json") as scratch:
        scratch.write_text(text, encoding="utf-8")


def read_manifests(study: Path) -> list[list[RequestedCondition]]:
    """Return what each sweep of a study requested; files that hold anything else are skipped."""
    found = []
    for path in sorted(study.glob(f"{DIRECTORY}/*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        entries = content if isinstance(content, list) else []
        found.append([RequestedCondition(**entry) for entry in entries if _is_condition(entry)])
    return found


def _is_condition(entry: object) -> bool:
    if not isinstance(entry, Mapping) or entry.keys() != {"name", "fingerprint", "overrides", "seeds"}:
        return False
    seeds = entry["seeds"]
    plain_name = isinstance(entry["name"], str) and Path(entry["name"]).name == entry["name"]
    return plain_name and isinstance(seeds, Mapping) and "seed" in seeds and all(map(_is_list_of_seeds, seeds.values()))


def _is_list_of_seeds(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(seed, int) and seed >= 0 for seed in value)
