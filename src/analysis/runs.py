"""Table of runs, with conditions labelled by the settings in which they differ."""

import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from src.analysis.config_diff import as_text, differing_settings, short_names
from src.analysis.formatting import natural_order
from src.storage.schema import NO_LOSS, Results
from src.utils.seeds import PURPOSES, SEED_KEYS

METRICS = (
    *("train/loss", "train/accuracy", "train/decided_classes", "train/collapse_epoch"),
    *("test/loss", "test/accuracy", "test/correct", "test/count"),
    *("population/accuracy", "population/regret", "population/excess_ce", "population/calibration_error"),
    *("linear/accuracy", "ideal/accuracy", "bayes/accuracy"),
)
_BEFORE_SETTINGS = ("label", "study", "condition", "fingerprint", "loss", "model", "data", "classes")
_AFTER_SETTINGS = (*SEED_KEYS, "status", "seconds")
_FIXED = {*_BEFORE_SETTINGS, *_AFTER_SETTINGS, "folder"}


def identity(results: Results) -> tuple[int, ...]:
    """Return the seeds that identify a run within its condition, in the order of ``SEED_KEYS``."""
    seed, streams = results.seed, results.streams
    return seed, *[streams.get(name, seed) for name in PURPOSES]


def runs_table(read: Mapping[Path, Results]) -> pd.DataFrame:
    """Return one row per run, as ``src.analysis.collect.Collection.runs`` describes them."""
    conditions = {results.fingerprint: results for results in read.values()}
    comparable = _with_names_of_files([*map(_comparable, conditions.values())])
    settings = dict(zip(conditions, differing_settings(comparable), strict=True))
    for name, each in settings.items():
        each.pop("loss", None)
        if conditions[name].loss in (NO_LOSS, conditions[name].model):
            each.pop("model", None)  # which its label starts with
    labels = _labels(conditions, settings)
    order = sorted(conditions, key=lambda name: _order(conditions[name], settings[name]))
    rank: dict[str, int] = {}
    for fingerprint in order:
        rank.setdefault(labels[fingerprint], len(rank))
    extra = [key for key in dict.fromkeys(chain(*(settings[name] for name in order))) if key not in _FIXED]
    named = {name for results in read.values() for name in results.metrics}.difference(_FIXED, extra)
    metrics = [*(name for name in METRICS if name in named), *sorted(named.difference(METRICS))]
    cells = {name: {key: _cell(value) for key, value in each.items()} for name, each in settings.items()}
    ordered = sorted(
        read.items(), key=lambda run: (rank[labels[run[1].fingerprint]], run[1].classes, *identity(run[1]))
    )
    each_run = [results for _, results in ordered]
    seeds = [identity(each) for each in each_run]
    columns = {  # one after the other, as a dictionary per run would take gigabytes for 100,000 of them
        "label": [labels[each.fingerprint] for each in each_run],
        **{name: [getattr(each, name) for each in each_run] for name in _BEFORE_SETTINGS[1:]},
        **{name: [cells[each.fingerprint].get(name, math.nan) for each in each_run] for name in extra},
        **{key: [each[index] for each in seeds] for index, key in enumerate(SEED_KEYS)},
        **{name: [getattr(each, name) for each in each_run] for name in ("status", "seconds")},
        **{name: [each.metrics.get(name, math.nan) for each in each_run] for name in metrics},
        "folder": [str(folder) for folder, _ in ordered],
    }
    return pd.DataFrame(columns, columns=[*_BEFORE_SETTINGS, *extra, *_AFTER_SETTINGS, *metrics, "folder"])


def _comparable(results: Results) -> dict[str, Any]:
    """Return a configuration in which loss, model and data carry the names of their options.

    Tuned settings are left out, so that conditions with different tuned values are compared as one setting.
    """
    config = {name: value for name, value in results.config.items() if name != "tuned" or value is not None}
    for group in ("loss", "model", "data"):
        inner = config.get(group)
        inside = dict(inner) if isinstance(inner, Mapping) else {}
        config[group] = {**inside, "_target_": getattr(results, group)}
    for key in tuned(results):
        group, _, name = key.partition(".")
        config[group] = {each: value for each, value in config[group].items() if each != name}
    return config


def _with_names_of_files(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return configurations in which a table is called by the name of its file, and by its hash only if it has to be.

    That is where several tables have one name.
    """
    hashes: dict[str, set[str]] = {}
    for config in configs:
        if isinstance(path := config["data"].get("path"), str):
            hashes.setdefault(PurePath(path).name, set()).add(str(config["data"].get("sha256")))
    named = []
    for config in configs:
        data = config["data"]
        if isinstance(path := data.get("path"), str):
            name = PurePath(path).name
            data = {key: value for key, value in data.items() if key != "sha256"} | {"path": name}
            if len(hashes[name]) > 1:
                data["sha256"] = str(config["data"].get("sha256"))[:8]
        named.append(config | {"data": data})
    return named


def tuned(results: Results) -> dict[str, Any]:
    """Return the settings that ``hydra/sweeper=tune`` found for a run, such as ``optimizer.lr``, with their values."""
    found = {}
    for key in str(results.config.get("tuned", "")).split("+"):
        group, _, name = key.partition(".")
        inside = results.config.get(group)
        if isinstance(inside, Mapping) and name in inside:
            found[key] = inside[name]
    return found


def _labels(conditions: Mapping[str, Results], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the label of each condition: its loss, or its model if it has none, and the settings that differ.

    Conditions that would share a label and class count get their fingerprints added.
    """
    extra = dict(zip(settings, short_names([*settings.values()]), strict=True))
    first = {name: each.model if each.loss == NO_LOSS else each.loss for name, each in conditions.items()}
    labels = {name: ", ".join(filter(None, [first[name], extra[name]])) for name in conditions}
    taken: dict[tuple[str, int], list[str]] = {}
    for name, results in conditions.items():
        taken.setdefault((labels[name], results.classes), []).append(name)
    for names in taken.values():
        if len(names) > 1:
            labels.update({name: f"{labels[name]} ({name[:8]})" for name in names})
    return labels


def _order(results: Results, settings: Mapping[str, Any]) -> tuple[str, list[tuple[str, list[tuple[float, str]]]]]:
    """Return a sort key: by loss, then by each setting."""
    return results.loss, [(name, natural_order(_cell(value))) for name, value in settings.items()]


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else as_text(value)
