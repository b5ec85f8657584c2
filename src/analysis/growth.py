"""Extension of a study by further seeds after some were finished."""

from collections.abc import Iterable
from itertools import permutations
from pathlib import Path

import pandas as pd

from src.storage.manifest import read_manifests
from src.storage.schema import written


def was_extended(studies: Iterable[Path], runs: pd.DataFrame) -> bool:
    """Return whether some seeds of a condition were requested after all seeds of an earlier request were finished.

    Args:
        studies: Folders of the studies, with the manifests of their sweeps.
        runs: The completed runs.

    Returns:
        The answer from the requested seeds and the time at which each run was written; False where all seeds were
        requested at once, or the missing ones of a request again.
    """
    requests: dict[str, set[frozenset[str]]] = {}
    for study in studies:
        for sweep in read_manifests(study):
            together: dict[str, list[str]] = {}  # a sweep with hydra.sweeper.stack_size requests a condition in parts
            for requested in sweep:
                together.setdefault(requested.fingerprint, []).extend(requested.seed_folders())
            for fingerprint, names in together.items():
                requests.setdefault(fingerprint, set()).add(frozenset(names))
    for fingerprint, group in runs.groupby("fingerprint"):
        pairs = list(permutations(requests.get(str(fingerprint), ()), 2))
        if not pairs:
            continue
        folders = [Path(folder) for folder in group["folder"]]
        stacks = dict(zip([folder.name for folder in folders], group["seconds"], strict=True))
        if any(
            _follows(earlier & stacks.keys(), (later - earlier) & stacks.keys(), folders, stacks)
            for earlier, later in pairs
        ):
            return True
    return False


def _follows(first: Iterable[str], added: Iterable[str], folders: Iterable[Path], stacks: dict[str, float]) -> bool:
    """Whether both are some runs, of different stacks, and the second ones were written later than all the first."""
    times = {folder.name: written(folder) for folder in folders}
    before, after = ([times[name] for name in names] for names in (first, added))
    apart = {stacks[name] for name in first}.isdisjoint(stacks[name] for name in added)
    return bool(before and after and apart and max(before) <= min(after))
