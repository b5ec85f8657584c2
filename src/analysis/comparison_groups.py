"""Comparison groups: the conditions that are compared with each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from src.analysis.config_diff import short_names
from src.storage.schema import NO_LOSS

DEFAULT_BASELINE = "ce"
_FIXED = ("label", "study", "condition", "fingerprint", "loss", "classes")


def name_methods(runs: pd.DataFrame, except_for: Sequence[str] = ()) -> pd.DataFrame:
    """Split each condition into its method, its class count and its setting.

    Args:
        runs: One row per run, as ``src.analysis.collect.Collection.runs`` has it.
        except_for: Columns of settings to leave out of the names and keep as columns.

    Returns:
        One row per condition, in the order of the runs: fingerprint, label, loss, classes; method, the loss with
        those of its options that differ, such as ``ce, smoothing=0.1``; and setting, all else that differs, such as
        ``lr=0.1``, empty where nothing does. Where some model comes with one loss only, which nothing could be
        compared with inside that model, the model is part of the method: ``mse, model=linear``, or ``gaussian``
        alone where there is no loss. Where there is but one loss, its settings are compared, all but those of the data:
        ``ce, lr=0.1``. No two rows share all of method, classes and setting.
    """
    conditions = runs.drop_duplicates("fingerprint").reset_index(drop=True)
    keys = [name for name in conditions.columns[: conditions.columns.get_loc("seed")] if name not in _FIXED]
    keys = [name for name in keys if name not in ("model", "data") or conditions[name].nunique() > 1]
    keys = [name for name in keys if name not in except_for]
    losses = conditions.groupby("model")["loss"].nunique()
    model_names_method = len(losses) > 1 and losses.min() == 1
    own = [key for key in keys if key.startswith("loss.") or (model_names_method and key.split(".")[0] == "model")]
    if not own and conditions["loss"].nunique() == 1:
        own = [key for key in keys if key.split(".")[0] != "data"]
    first = conditions["loss"].where(conditions["loss"] != NO_LOSS, conditions["model"])
    conditions["model"] = conditions["model"].where(conditions["model"] != first)
    named = conditions[["fingerprint", "label", "loss", "classes", *except_for]].copy()
    options = short_names(_settings(conditions, own))
    named["method"] = [", ".join(filter(None, pair)) for pair in zip(first, options, strict=True)]
    named["setting"] = short_names(_settings(conditions, [key for key in keys if key not in own]))
    alike = named.duplicated(["method", "classes", "setting", *except_for], keep=False)
    marked = named["method"] + " (" + named["fingerprint"].str[:8] + ")"
    named["method"] = named["method"].where(~alike, marked)
    return named


def _settings(conditions: pd.DataFrame, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    columns = {key: conditions[key].tolist() for key in keys}
    return [
        {key: values[row] for key, values in columns.items() if not pd.isna(values[row])}
        for row in range(len(conditions))
    ]


def choose_baseline(methods: pd.DataFrame, name: str | None = None) -> str:
    """Return the method that all others are compared with.

    Args:
        methods: What ``name_methods`` returns, at least one row.
        name: A method, or a loss of exactly one method; None for ``ce`` if present, otherwise the first.

    Raises:
        ValueError: If there is no such method; the message names the choices.
    """
    names = list(dict.fromkeys(methods["method"]))
    losses = methods.drop_duplicates("method").groupby("loss", sort=False)["method"].agg(list)
    requested = DEFAULT_BASELINE if name is None else name
    if requested in names:
        return requested
    found = list(losses.get(requested, []))
    if name is None:
        return found[0] if found else names[0]
    if len(found) != 1:
        choices = ", ".join(repr(each) if "," in each else each for each in names)
        raise ValueError(f"{name} matches {len(found)} of the compared losses; expected one of {choices}")
    return found[0]
