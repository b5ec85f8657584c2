"""Names and fingerprints of conditions, and which of their seeds are completed. Imports no torch."""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from src.storage.schema import EXCLUDED_FROM_FINGERPRINT, is_off
from src.utils.typed_path import typed_folder

log = logging.getLogger(__name__)

GROUPS = ("loss", "model", "data")
MAX_NAME_LENGTH = 120  # of a condition's readable part; file systems allow 255 bytes a name


def scientific(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the part of a resolved configuration that decides the results, except the seed."""
    return {
        name: scientific(value, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in config.items()
        if f"{prefix}{name}" not in EXCLUDED_FROM_FINGERPRINT and not is_off(f"{prefix}{name}", value)
    }


def fingerprint(config: dict[str, Any], choices: dict[str, str]) -> str:
    """Return eight hexadecimal digits that name a condition.

    Args:
        config: The resolved configuration.
        choices: The choices of the config groups.

    Example:
        >>> config = {"classes": 2, "seed": 0, "trainer": {"max_epochs": 1}}
        >>> fingerprint(config, {"loss": "ce"}) == fingerprint(config | {"seed": 7}, {"loss": "ce"})
        True
        >>> fingerprint(config, {"loss": "ce"}) == fingerprint(config | {"classes": 4}, {"loss": "ce"})
        False
    """
    content = {
        "config": scientific(_with_plain_path(_with_plain_split(config))),
        "choices": {group: choices.get(group) for group in GROUPS},
        "pinned": pinned(config),
    }
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _with_plain_split(config: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the default split for ``split=group``: ``data.groups`` alone makes the same split."""
    data = config.get("data")
    if not (isinstance(data, dict) and data.get("split") == "group"):
        return config
    return config | {"data": data | {"split": "stratified"}}


def _with_plain_path(config: dict[str, Any]) -> dict[str, Any]:
    """Return settings with one spelling of the path of a table: below the current directory, or absolute."""
    data = config.get("data")
    if not (isinstance(data, dict) and "sha256" in data and isinstance(path := data.get("path"), str)):
        return config
    here = typed_folder()
    full = Path(os.path.abspath(here / path))  # noqa: PTH100 - without following links
    if not full.is_relative_to(here):
        here, full = here.resolve(), full.resolve()
    plain = full.relative_to(here) if full.is_relative_to(here) else full
    return config | {"data": data | {"path": plain.as_posix()}}


def pinned(config: dict[str, Any]) -> list[str]:
    """Return the random streams whose seeds are given instead of following the run's seed."""
    return sorted(purpose for purpose, seed in config.get("seeds", {}).items() if seed is not None)


def condition_name(config: dict[str, Any], choices: dict[str, str], overrides: list[str]) -> str:
    """Return the readable part of a condition's folder: loss, classes and the other overrides, in order of name."""
    words = [f"loss={choices['loss']}", f"classes={config['classes']}"]
    for override in sorted(overrides):
        name, _, value = override.lstrip("+~").partition("=")
        top = name.split(".")[0].split("@")[0]
        known = {*EXCLUDED_FROM_FINGERPRINT, "loss", "classes", "experiment"}
        if (top not in known and name not in known) or name.startswith("loss."):
            words.append(f"{name}={value}")
    if pinned(config):
        words.append(f"pinned={'+'.join(pinned(config))}")
    readable = re.sub(r"[\[\]'\" ]", "", ",".join(words))
    return re.sub(r"[^\w.,=+-]+", "_", readable, flags=re.ASCII)[:MAX_NAME_LENGTH]


def condition_folder(study: Path, name: str, fingerprint: str) -> str:
    """Return the name of a condition's directory, without creating it.

    Args:
        study: Directory of the study. One below it that carries the same fingerprint is taken, however its readable
            part was written.
        name: Readable part of the name.
        fingerprint: Fingerprint of the condition.
    """
    existing = sorted(study.glob(f"*-{fingerprint}"))
    return existing[0].name if existing else f"{name}-{fingerprint}"


def _canonical(value: Any) -> Any:
    """Make equal settings look equal: 1.0 becomes 1, at any depth."""
    if isinstance(value, dict):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
