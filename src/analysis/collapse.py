"""Collapsed runs of a study, and the command that repeats them from the initial weights of He et al."""

import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.analysis.provenance import command_words
from src.metrics.collapse import COLLAPSE_EPOCH, DECIDED_CLASSES, collapsed
from src.storage.schema import Results


def collapsed_runs(runs: pd.DataFrame) -> pd.Series:
    """Return 1 for each collapsed run, 0 for each other one, and NaN where an older losslab did not record it."""
    decided = runs[DECIDED_CLASSES] if DECIDED_CLASSES in runs.columns else np.nan
    return pd.Series(collapsed(decided) * np.ones(len(runs)), index=runs.index)


def collapse_sentences(runs: pd.DataFrame) -> list[str]:
    """Return how many runs collapsed and when, in sentences; nothing where it is known that none did.

    Args:
        runs: The completed runs.
    """
    collapse = collapsed_runs(runs)
    sentences = []
    if count := int(collapse.sum()):
        epochs = runs.loc[collapse == 1, COLLAPSE_EPOCH].dropna() if COLLAPSE_EPOCH in runs.columns else pd.Series()
        since = (
            f", from epoch {epochs.min():.0f} on at the earliest and {epochs.max():.0f} at the latest"
            if len(epochs)
            else ""
        )
        sentences.append(
            f"{count} of {collapse.count()} networks make one and the same decision for every training sample at the "
            f"end of training: they collapsed{since}. A collapsed network has the accuracy of guessing one class, "
            f"whatever its loss, so that means over all seeds mix two kinds of networks."
        )
    if unknown := int(collapse.isna().sum()):
        sentences.append(
            f"{unknown} of {len(runs)} runs were trained by an older losslab, which did not record whether they "
            f"collapsed; resume=false trains them again."
        )
    return sentences


def kaiming_commands(results: Sequence[Results]) -> list[str]:
    """Return the commands that repeat the conditions with collapsed runs from the initial weights of He et al. 2015.

    Args:
        results: The results of a study.

    Returns:
        One command per study, which writes into a study of its own; none where no collapsed network has
        ``model.init=normal``.
    """
    lines = []
    for study in dict.fromkeys(each.study for each in results):
        mine = [each for each in results if each.study == study and _has_normal_init(each)]
        collapse = collapsed([each.metrics.get(DECIDED_CLASSES, np.nan) for each in mine])
        collapses = {each.fingerprint for each, share in zip(mine, collapse, strict=True) if share == 1}
        found = command_words([each for each in mine if each.fingerprint in collapses]) if collapses else []
        lines += [shlex.join([*words, "model.init=kaiming", f"study={study}_kaiming"]) for words in found]
    return lines


def _has_normal_init(results: Results) -> bool:
    model = results.config.get("model")
    return isinstance(model, dict) and model.get("init") == "normal"
