"""Studies and conditions: the folder of a condition, its fingerprint, and which of its seeds are done.

Imports no torch, so that ``--help`` and ``--cfg job`` answer at once.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from src.storage.schema import (
    COMPLETED,
    EXCLUDED_FROM_FINGERPRINT,
    RESULTS,
    ArtifactError,
    NewerSchemaError,
    Results,
    read_results,
)
from src.utils.fast_imports import import_lightning
from src.utils.validation import Problem, SettingsError, check

log = logging.getLogger(__name__)

GROUPS = ("loss", "model", "data")
ROOM = 100_000  # bytes; less than one seed takes
NAME_LENGTH = 120  # of a condition's readable part; file systems allow 255 bytes a name


def scientific(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return what of a resolved configuration decides the results, but for the seed."""
    return {
        name: scientific(value, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in config.items()
        if f"{prefix}{name}" not in EXCLUDED_FROM_FINGERPRINT
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
        "config": scientific(config),
        "choices": {group: choices.get(group) for group in GROUPS},
        "pinned": pinned(config),
    }
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
    return re.sub(r"[^\w.,=+-]+", "_", readable, flags=re.ASCII)[:NAME_LENGTH]


def condition_folder(root: DictConfig) -> str:
    """Check every setting of a job and return the name of its folder; the resolver behind ``${condition:}``.

    Hydra resolves it before it writes anything, so a wrong setting ends the program, with a line for each and exit
    code 1, while the disk is as it was. A folder of the study that already carries the same fingerprint is taken,
    however its readable part was written.

    Raises:
        SystemExit: If a setting is wrong.
    """
    import_lightning()
    from src.config.instantiate import (
        check_settings,  # torch takes seconds to import; only a job that is to run needs it
    )

    config = resolve(root)
    study = Path(str(root.hydra.sweep.dir))
    choices = dict(root.hydra.runtime.choices)
    try:
        check(study_problem(config["study"]), _writable_problem(study))
        check_settings(config)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    mark = fingerprint(config, choices)
    for known in sorted(study.glob(f"*-{mark}")):
        return known.name
    return f"{condition_name(config, choices, list(root.hydra.overrides.task))}-{mark}"


def resolve(root: DictConfig) -> dict[str, Any]:
    """Return the job's own settings, resolved, as plain containers."""
    job = OmegaConf.masked_copy(root, [str(name) for name in root if name != "hydra"])
    return cast(dict[str, Any], OmegaConf.to_container(job, resolve=True))


def completed(folders: Iterable[Path], mark: str) -> dict[Path, Results]:
    """Return the results in those seeds' folders that hold a completed run of the condition with this fingerprint.

    Raises:
        NewerSchemaError: If a newer losslab wrote one of them, which must not be replaced unasked.
    """
    done = {}
    for folder in folders:
        if not (folder / RESULTS).exists():
            continue
        try:
            results = read_results(folder)
        except NewerSchemaError:
            raise
        except ArtifactError as error:
            log.warning("%s; this seed is trained again", error)
            continue
        if results.status == COMPLETED and results.fingerprint == mark and results.name == folder.name:
            done[folder] = results
    return done


def _canonical(value: Any) -> Any:
    """Make equal settings look equal: 1.0 becomes 1, at any depth."""
    if isinstance(value, dict):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def study_problem(study: Any) -> Problem | None:
    """Find a problem unless a study's name can be that of a folder."""
    good = isinstance(study, str) and re.fullmatch(r"[A-Za-z0-9][\w.,=+-]{0,99}", study, flags=re.ASCII)
    rule = "a folder name of up to 100 letters, digits and . , = + - _ that starts with a letter or digit"
    return None if good else Problem("study", rule, study)


def _writable_problem(study: Path) -> Problem | None:
    """Find a problem if the study's folder could not be made or written."""
    existing = next(path for path in [study, *study.absolute().parents] if os.path.exists(path))  # noqa: PTH110 - quiet
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return Problem("hydra.sweep.dir", f"a folder that can be written ({existing} cannot)", str(study))
    free = shutil.disk_usage(existing).free
    return (
        None if free >= ROOM else Problem("hydra.sweep.dir", f"on a disk with room ({free} bytes are free)", str(study))
    )


def _of_file(name: str) -> Callable[..., Any]:
    """Return a resolver that reads a file of data."""

    def resolver(*arguments: str) -> Any:
        from src.data import dataframe

        return getattr(dataframe, name)(*arguments)

    return resolver


OmegaConf.register_new_resolver("condition", lambda *, _root_: condition_folder(_root_), replace=True)
OmegaConf.register_new_resolver("classes_in", _of_file("count_classes"), replace=True)
OmegaConf.register_new_resolver("sha256", _of_file("digest"), replace=True)
