"""The independent replicate of a study: the run, or one random stream of a crossed design."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.analysis.collect import ranges
from src.storage.schema import Results
from src.utils.seeds import SEED_KEYS

_MAX_NAMES = 4  # runs of a crossed design named in one line


@dataclass(frozen=True)
class Replicate:
    """The independent replicate that n counts.

    Runs of a crossed design that share a data seed are not independent. There, runs that share the seed of the stream
    with most of them are averaged first; intervals are then conditional on the seeds of the other streams.

    Attributes:
        stream: None where each run is one replicate, else the name of the identity column of the stream.
        others: How many seeds each other crossed stream has, by name, in a crossed design.
        overlap: The ratio of test to training samples of each condition that is cross-validated, by its fingerprint.
    """

    stream: str | None = None
    others: tuple[tuple[str, int], ...] = ()
    overlap: Mapping[str, float] = field(default_factory=dict)

    def overlap_of(self, fingerprints: Iterable[str]) -> float:
        """Return the largest ratio of test to training samples of some conditions; 0 without folds."""
        return max((self.overlap.get(name, 0.0) for name in fingerprints), default=0.0)

    @property
    def interval(self) -> str:
        """Name of the interval of a mean."""
        return "corrected t interval (Nadeau and Bengio 2003)" if self.overlap else "t interval"

    @property
    def name(self) -> str:
        """Name of the replicates, such as ``seeds`` or ``data seeds``."""
        return "seeds" if self.stream is None else f"{self.stream.removeprefix('seeds.')} seeds".removeprefix("seed ")

    @property
    def note(self) -> str:
        """Return what is averaged as a sentence; empty for plain runs."""
        if self.stream is None:
            return ""
        crossed = " and ".join(f"{count} {name.removeprefix('seeds.')} seeds" for name, count in self.others)
        return (
            f"The runs are a crossed design: those that share a {self.name.removesuffix('s')} are averaged first, over "
            f"{crossed}, so n counts {self.name} and intervals are conditional on these {crossed}."
        )

    @property
    def fold_note(self) -> str:
        """Return which intervals are corrected for folds that share training samples; empty without folds."""
        if not self.overlap:
            return ""
        return (
            "The seeds of split=kfold are folds, whose training samples overlap. The t intervals of means and part (b) "
            "of the comparisons are corrected for that (Nadeau and Bengio 2003); the other intervals, those of "
            "--anytime and the numbers of seeds needed are those of independent runs, and too optimistic here."
        )

    def average(self, values: NDArray[np.floating], index: pd.MultiIndex) -> NDArray[np.floating]:
        """Return the mean of the rows of each replicate, from those of single runs and their ``SEED_KEYS``."""
        if self.stream is None:
            return values
        return pd.DataFrame(values).groupby(index.get_level_values(self.stream)).mean().to_numpy()

    def means(self, runs: pd.DataFrame, metric: str) -> NDArray[np.floating]:
        """Return the known values of a metric, (n,): of each run, or the mean of each replicate."""
        if self.stream is None:
            return runs[metric].dropna().to_numpy(dtype=float)
        return runs.groupby(self.stream)[metric].mean().dropna().to_numpy(dtype=float)

    def names(self, index: pd.MultiIndex) -> str:
        """Return the runs of an index over ``SEED_KEYS`` as text, such as ``seeds 0-3, 7``."""
        seeds = index.get_level_values("seed")
        if self.stream is None and seeds.is_unique:
            return ranges(sorted(seeds))
        texts = [",".join(f"{name.removeprefix('seeds.')}={value}" for name, value in _short(row)) for row in index]
        more = f" and {len(texts) - _MAX_NAMES} more" if len(texts) > _MAX_NAMES else ""
        return "; ".join(texts[:_MAX_NAMES]) + more


def _short(row: Sequence[int]) -> list[tuple[str, int]]:
    """Return the seed, and the seeds of the streams that do not follow it."""
    return [(name, value) for name, value in zip(SEED_KEYS, row, strict=True) if name == "seed" or value != row[0]]


def fold_overlap(results: Iterable[Results]) -> dict[str, float]:
    """Return the ratio of test to training samples of each condition with ``split=kfold``, by its fingerprint."""
    found = {}
    for each in results:
        data = each.config.get("data", {})
        if data.get("split") == "kfold":
            found[each.fingerprint] = 1 / (data["folds"] * (1 - data["val_fraction"]) - 1)
    return found


def find_replicate(runs: pd.DataFrame) -> Replicate:
    """Return the independent replicate of a study.

    Args:
        runs: The completed runs, at least one.

    Returns:
        Single runs, if some stream has a different seed in each run of a condition; otherwise the stream with the most
        seeds, the data's before others.
    """
    streams = list(SEED_KEYS[1:])
    counts = runs.groupby("fingerprint")[[*streams, "folder"]].nunique()
    if (counts[streams].max(axis=1) == counts["folder"]).all():
        return Replicate()
    levels = runs[streams].nunique()
    levels = levels[levels > 1]
    if levels.empty:
        return Replicate()
    stream = str(levels.idxmax())
    follows = [name for name in levels.index if name != stream and (runs[name] != runs[stream]).any()]
    return Replicate(stream, tuple((name, int(levels[name])) for name in follows))
