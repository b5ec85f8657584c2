"""Validation of settings before anything is written: names, types and ranges, then a build for the first seed."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig

from src.config.allowlist import NAMED, allowed_problem
from src.config.resolvers import resolve
from src.config.schema import Config, PathsConfig, SeedsConfig, TrainerConfig
from src.storage.manifest import DIRECTORY as MANIFESTS
from src.utils.fast_imports import import_lightning
from src.utils.seeds import PURPOSES
from src.utils.validation import Problem, check, choice, flag, number

GROUPS = ("data", "model", "loss", "optimizer", "scheduler", "trainer", "profiler", "export")
METRICS = {
    "train": ("loss", "accuracy"),
    "test": ("loss", "accuracy", "correct", "count", "balanced_accuracy", "macro_f1", "auroc", "log_loss", "brier"),
    "val": ("loss", "accuracy"),
    "population": ("accuracy", "regret", "excess_ce", "calibration_error"),
}
MIN_FREE_BYTES = 100_000  # less than one seed takes
MAX_RATE = 1e30  # single precision ends at 3.4e38


def validate_job(root: DictConfig) -> None:
    """Validate every setting of a composed job, without writing anything.

    Args:
        root: The composed configuration, with Hydra's own.

    Raises:
        SettingsError: If a setting is wrong; the message has one line for each.
    """
    config = resolve(root)
    study = Path(str(root.hydra.sweep.dir))
    check(*setting_problems(config), folder_problem(study))
    check(link_problem(study, str(root.hydra.sweep.subdir)))
    import_lightning()
    from src.config.instantiate import check_settings  # torch takes seconds to import, and --help needs none of it

    check_settings(config)


def setting_problems(config: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with the names of some settings, or, where these are right, with their ranges."""
    return list(shape_problems(config)) or [problem for problem in range_problems(config) if problem]


def folder_problem(study: Path) -> Problem | None:
    """Return a problem if the study's directory cannot be created or written."""
    existing = next(path for path in [study, *study.absolute().parents] if os.path.exists(path))  # noqa: PTH110 - quiet
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return Problem("hydra.sweep.dir", f"a folder that can be written ({existing} cannot)", str(study))
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        return Problem("hydra.sweep.dir", f"on a disk with room ({free} bytes are free)", str(study))
    return None


def link_problem(study: Path, condition: str) -> Problem | None:
    """Return a problem if a file of a condition would be written through a link, to wherever that leads."""
    folder = study / condition
    written = [study / MANIFESTS, folder, *folder.glob("*"), *folder.glob(".hydra/**/*")]
    links = [str(path) for path in written if path.is_symlink()]
    rule = f"a folder without links to write through ({', '.join(links[:2])})"
    return Problem("hydra.sweep.dir", rule, str(study)) if links else None


def shape_problems(config: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem for settings and groups that are missing or unknown, and groups that are none."""
    yield from name_problems(Config, config, "", "a setting of --help")
    for name in GROUPS:
        if name in config and not (isinstance(config[name], dict) and "_target_" in config[name]):
            yield Problem(name, "a choice of the group, or settings with a _target_", config[name])
    for name in NAMED:
        settings = config.get(name, {})
        good = isinstance(settings, dict) and all(
            isinstance(each, dict) and "_target_" in each for each in settings.values()
        )
        rule = "choices of the group, or settings with a _target_ by names of their own"
        yield from [] if good else [Problem(name, rule, settings)]
    if isinstance(trainer := config.get("trainer"), dict):
        yield from name_problems(
            TrainerConfig, trainer, "trainer.", "left out, as a stack has no such setting of lightning.Trainer"
        )
    if isinstance(paths := config.get("paths"), dict):
        yield from name_problems(PathsConfig, paths, "paths.", "left out")
    elif "paths" in config:
        yield Problem("paths", "settings of directories", paths)
    if isinstance(pins := config.get("seeds"), dict):
        yield from name_problems(SeedsConfig, pins, "seeds.", f"one of {', '.join(PURPOSES)}")
    elif "seeds" in config:
        yield Problem("seeds", f"settings of {', '.join(PURPOSES)}", pins)


def name_problems(schema: type[Any], config: dict[str, Any], prefix: str, rule: str) -> Iterator[Problem]:
    """Yield a problem for each field of a structured config that is missing, and each setting that is no field."""
    known = [item.name for item in fields(schema)]
    for item in fields(schema):
        if item.default == MISSING and item.name not in config:
            yield Problem(f"{prefix}{item.name}", "given", None)
    for name, value in config.items():
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.7)
            yield Problem(f"{prefix}{name}", rule + (f", perhaps {prefix}{near[0]}" if near else ""), value)


def range_problems(config: dict[str, Any]) -> Iterator[Problem | None]:
    """Yield a problem for settings that are out of range, except those that the classes of the groups check."""
    yield from rule_problems(Config, config, "")
    yield from rule_problems(SeedsConfig, config["seeds"], "seeds.")
    yield from rule_problems(TrainerConfig, config["trainer"], "trainer.")
    yield from rule_problems(PathsConfig, config["paths"], "paths.")
    splits = [split for split in METRICS if split != "val" or config["data"].get("val_fraction")]
    metrics = [f"{split}/{name}" for split in splits for name in METRICS[split]]
    yield choice("optimized_metric", config["optimized_metric"], metrics)
    yield _tuned_problem(config)
    yield allowed_problem(config["allow_targets"])
    yield number("optimizer.lr", config["optimizer"].get("lr"), above=0, below=MAX_RATE)
    yield flag("optimizer.fused", config["optimizer"].get("fused", False))


def rule_problems(schema: type[Any], config: dict[str, Any], prefix: str) -> Iterator[Problem | None]:
    """Yield the result of every rule of a structured config."""
    for item in fields(schema):
        if item.name in config and (rule := item.metadata.get("rule")):
            yield rule(f"{prefix}{item.name}", config[item.name])


def _tuned_problem(config: dict[str, Any]) -> Problem | None:
    """Return a problem unless ``tuned`` is null or names settings that there are."""
    if (tuned := config["tuned"]) is None:
        return None
    names = [name.partition(".") for name in str(tuned).split("+")]
    good = all(group in GROUPS and name in config[group] for group, _, name in names)
    return None if good else Problem("tuned", "null, or settings joined by +, such as optimizer.lr", tuned)
