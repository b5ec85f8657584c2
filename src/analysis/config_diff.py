"""Differences between the configurations of conditions, and short names from them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from src.storage.schema import EXCLUDED_FROM_FINGERPRINT, is_off

_ABSENT = object()


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration as one level of dotted keys; lists stay whole.

    Example:
        >>> flatten({"model": {"hidden": [50, 100]}, "classes": 2})
        {'model.hidden': [50, 100], 'classes': 2}
    """
    flat = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        flat.update(flatten(value, f"{key}.") if isinstance(value, Mapping) and value else {key: value})
    return flat


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each configuration, the settings whose values are not the same in all.

    A group's settings are compared only between configurations that chose the same option of it, the same
    ``_target_``: ``optimizer=SGD`` does not differ from Adam by having no betas. The number of classes and settings
    that are not scientific (``artifacts.EXCLUDED_FROM_FINGERPRINT``) do not count.

    Args:
        configs: Resolved configurations.

    Returns:
        One dict of dotted keys per configuration. ``optimizer._target_`` is shown as ``optimizer``, the last part of
        its value.

    Example:
        >>> differing_settings([{"optimizer": {"lr": 0.1}, "seed": 0}, {"optimizer": {"lr": 0.2}, "seed": 1}])
        [{'optimizer.lr': 0.1}, {'optimizer.lr': 0.2}]
    """
    chosen = [{name: value for name, value in config.items() if not is_off(name, value)} for config in configs]
    flats = [
        {key: value for key, value in flatten(config).items() if _counts(key) and not is_off(key, value)}
        for config in chosen
    ]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    differing = [key for key in keys if _differs(key, flats)]
    return [{_shown(key): _shown_value(key, flat[key]) for key in differing if key in flat} for flat in flats]


def short_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one text per condition, such as ``lr=0.1, model=mlp``, with the shortest unambiguous keys.

    Example:
        >>> short_names([{"optimizer.lr": 0.1, "model.hidden": [50, 100]}, {}])
        ['lr=0.1, hidden=[50,100]', '']
    """
    keys = dict.fromkeys(key for each in settings for key in each)
    last = [key.rpartition(".")[2] for key in keys]
    short = {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}
    return [", ".join(f"{short[key]}={as_text(value)}" for key, value in each.items()) for each in settings]


def as_text(value: Any) -> str:
    """Return a setting's value as it is written on the command line.

    Example:
        >>> as_text([50, 100]), as_text(None), as_text("relu")
        ('[50,100]', 'null', 'relu')
    """
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def _counts(key: str) -> bool:
    ignored = any(key == name or key.startswith(f"{name}.") for name in EXCLUDED_FROM_FINGERPRINT)
    return not ignored and key.split(".")[-1] != "classes"


def _differs(key: str, flats: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key has several values among the configurations that made the same choice of its group."""
    choice = f"{key.partition('.')[0]}._target_"
    values: dict[str, set[str]] = {}
    for flat in flats:
        option = "" if key == choice else _canonical(flat.get(choice, _ABSENT))
        values.setdefault(option, set()).add(_canonical(flat.get(key, _ABSENT)))
    return any(len(seen) > 1 for seen in values.values())


def _canonical(value: Any) -> str:
    """Return a text that is equal for equal values: 1 equals 1.0, but neither true nor "1"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value)) if abs(value) < 2**53 else repr(value)
    return "absent" if value is _ABSENT else json.dumps(value, sort_keys=True, default=str)


def _shown(key: str) -> str:
    return key.removesuffix("._target_")


def _shown_value(key: str, value: Any) -> Any:
    return value.rpartition(".")[2] if key.endswith("._target_") and isinstance(value, str) else value
