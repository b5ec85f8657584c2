"""Settings of a stored run: what a file holds is data, never code.

The choices of ``loss``, ``model`` and ``data`` and the plain values are taken from ``results.json`` and checked; the
rest comes from this project's own configuration. A ``_target_`` in the file counts only where this project's
configuration names the same class, or the caller allows its package.
"""

import copy
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.config.allowlist import allowed_problem
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.config.validation import setting_problems
from src.storage.schema import CHECKPOINT, FILE_DATA, ArtifactError, Results, check_contained
from src.storage.stack_table import BrokenStackError, find_run
from src.utils.typed_path import typed_path
from src.utils.validation import Problem, check

_GROUPS = ("data", "loss", "model")
_TABLES = (("data", "read"), ("data", "ordered"))  # settings of plain values by name
_NETWORK = ("model", "network")  # the one node below a group that names code
_CHECKPOINT_OVERHEAD = 2**20  # bytes of a checkpoint beside the weights, generously


def stored_settings(results: Results, allow_targets: Sequence[str] = (), table: Path | None = None) -> dict[str, Any]:
    """Return settings that rebuild the data, the objective and the network of a stored run.

    Args:
        results: The stored results.
        allow_targets: Packages outside of this project whose code the run may use; what the file says of that does not
            count.
        table: Where the table of a run with ``data=csv`` is now; None for where it was.

    Raises:
        SettingsError: If a choice is not one of this project's and its package is not allowed, or a value is wrong.
    """
    check(allowed_problem(list(allow_targets)))
    choices = {group: getattr(results, group) for group in _GROUPS}
    known = {group: choice for group, choice in choices.items() if _is_known(group, choice)}
    config = copy.deepcopy(_own_settings(*known.items()))
    for group in _GROUPS:
        stored: Any = results.config.get(group)
        check(None if isinstance(stored, dict) else Problem(group, "given", stored))
        own = config[group] if group in known and not _overrides_target(group, results.overrides) else {}
        config[group] = _merged((group,), own, stored, choices[group], allow_targets)
    if choices["data"] in FILE_DATA:
        config["data"]["path"] = config["data"].get("path") if table is None else str(table)
        if table is not None and "read" not in results.config["data"]:
            config["data"] |= _roles_before(config["data"])
    config["classes"] = results.config.get("classes")
    config["seed"], config["seeds"] = results.seed, results.config.get("seeds", {})
    config["allow_targets"] = list(allow_targets)
    if isinstance(trainer := results.config.get("trainer"), dict):
        config["trainer"] |= {name: trainer[name] for name in ("precision", "overfit_batches") if name in trainer}
    check(*setting_problems(config))
    return config


def read_weights(folder: Path, size: int) -> dict[str, Any]:
    """Return the weights in the checkpoint of a run, by the name of the parameter or buffer.

    Args:
        folder: The directory of the run.
        size: Bytes that the network's weights take at most; a file that claims more is refused before it is read.

    Raises:
        ArtifactError: If there is no checkpoint, or it is not that of a network of this size.
    """
    from src.training.checkpoint_file import load_checkpoint  # torch takes seconds to import

    path = folder / CHECKPOINT
    if run := find_run(folder):
        try:
            if content := run.checkpoint():
                return dict(content["state_dict"])
        except BrokenStackError as error:
            raise ArtifactError(str(error)) from None
        path = run.beside / CHECKPOINT
    check_contained(path, path.parent)
    if not path.is_file():
        raise ArtifactError(f"{path} is missing")
    try:
        weights: dict[str, Any] = load_checkpoint(path, size + _CHECKPOINT_OVERHEAD)["state_dict"]
    except Exception as error:  # torch's unpickler raises errors of many types for a broken file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} is not the checkpoint of this run: {reason}") from None
    return weights


@cache
def _own_settings(*choices: tuple[str, str]) -> dict[str, Any]:
    """Return this project's settings for some choices of groups; composing them takes longer than reading a run."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return resolve(compose("train", overrides=[f"{group}={choice}" for group, choice in choices]))


def _is_known(group: str, choice: str) -> bool:
    return (
        re.fullmatch(r"\w+", choice, flags=re.ASCII) is not None and (CONFIG_DIR / group / f"{choice}.yaml").is_file()
    )


def _overrides_target(group: str, overrides: Sequence[str]) -> bool:
    """Return whether a run was trained with another class than that of its choice."""
    return any(word.lstrip("+").startswith((f"{group}._target_=", f"{group}={{")) for word in overrides)


def _merged(
    path: tuple[str, ...], own: dict[str, Any], stored: dict[str, Any], choice: str, allow_targets: Sequence[str]
) -> dict[str, Any]:
    """Return the project's own settings of a group with the stored values, all of which have to be plain.

    Raises:
        SettingsError: If a value is a dict, except ``model.network``, or the class is outside of what is allowed.
    """
    node = ".".join(path)
    target = own.get("_target_", stored.get("_target_"))
    if path == _NETWORK:
        target = stored.get("_target_")
    if target is None or target != own.get("_target_"):
        good = isinstance(target, str) and any(f"{target}.".startswith(f"{package}.") for package in allow_targets)
        good = good or target in _own_targets(path[0])
        rule = f"in a package of allow_targets=[...], as {path[0]}={choice} of this project does not name it"
        check(None if good else Problem(f"{node}._target_", rule, target))
    merged = {**own, "_target_": target}
    for name, value in stored.items():
        if name.startswith("_"):
            continue
        inner = (*path, name)
        if inner == _NETWORK and isinstance(value, dict):
            merged[name] = _merged(inner, own.get(name, {}), value, choice, allow_targets) | {"_partial_": True}
            continue
        good = _is_plain(value) or (inner in _TABLES and _is_plain_by_name(value))
        check(None if good else Problem(".".join(inner), "a plain value or a list of such", value))
        merged[name] = value
    return merged


@cache
def _own_targets(group: str) -> list[str]:
    """Return the classes that this project's own choices of a group name."""
    files = [OmegaConf.to_container(OmegaConf.load(file)) for file in CONFIG_DIR.joinpath(group).glob("*.yaml")]
    contents: list[Any] = [*files, *(file.get(group, {}) for file in files if isinstance(file, dict))]
    return [content["_target_"] for content in contents if "_target_" in content]


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _is_plain_by_name(value: Any) -> bool:
    """Return whether a value is a dict of plain values and such dicts, which names no code."""
    named = isinstance(value, dict) and "_target_" not in value
    return _is_plain(value) or (named and all(map(_is_plain_by_name, value.values())))


def _roles_before(data: dict[str, Any]) -> dict[str, Any]:
    """Return the roles that every column of a table had before there were settings for them."""
    from src.data.dataframe import earlier_roles  # pandas takes half a second to import

    return earlier_roles(data["path"], data.get("target"))


def has_content(path: Any, sha256: Any) -> bool:
    """Return whether a path is that of a file with a known content, and neither a device nor a pipe."""
    from src.data.dataframe import digest  # pandas takes half a second to import

    is_file = isinstance(path, str | Path) and "\0" not in str(path) and typed_path(path).is_file()
    return is_file and sha256 is not None and digest(path) == sha256
