"""Validation of settings before anything is written: names, types and ranges, then a build for the first seed."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.allowlist import allowed_problem
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.config.schema import Config
from src.storage.manifest import DIRECTORY as MANIFESTS
from src.utils.fast_imports import import_lightning
from src.utils.seeds import PURPOSES, seeds_problem
from src.utils.validation import Problem, check, choice, flag, number, whole

GROUPS = ("data", "model", "loss", "optimizer", "trainer", "export")
NEEDED = (*GROUPS, "classes", "seed", "seeds", "resume", "figures")  # of settings stored by an older losslab too
FIGURES = ("first", "all", "none")
ENGINES = ("auto", "native", "torch")
PRECISIONS = ("32-true", "64-true", "bf16-true", "bf16-mixed")
METRICS = {
    "train": ("loss", "accuracy"),
    "test": ("loss", "accuracy", "correct", "count"),
    "val": ("loss", "accuracy"),
    "population": ("accuracy", "regret", "excess_ce", "calibration_error"),
}
MIN_FREE_BYTES = 100_000  # less than one seed takes
MAX_CLASSES = 1000
MAX_EPOCHS = 10**9
MAX_RATE = 1e30  # single precision ends at 3.4e38
DIAGNOSTICS = ("benchmark", "detect_anomaly", "deterministic", "profiler")  # of the trainer, beside its own settings


def validate_job(root: DictConfig) -> None:
    """Validate every setting of a composed job, without writing anything.

    Args:
        root: The composed configuration, with Hydra's own.

    Raises:
        SettingsError: If a setting is wrong; the message has one line for each.
    """
    config = resolve(root)
    study = Path(str(root.hydra.sweep.dir))
    check(study_problem(config["study"]), folder_problem(study), *setting_problems(config))
    check(link_problem(study, str(root.hydra.sweep.subdir)))
    import_lightning()
    from src.config.instantiate import check_settings  # torch takes seconds to import, and --help needs none of it

    check_settings(config)


def setting_problems(config: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with the names of some settings, or, where these are right, with their ranges."""
    shape = [problem for problem in shape_problems(config) if problem]
    return shape or [problem for problem in range_problems(config) if problem]


def study_problem(study: Any) -> Problem | None:
    """Return a problem unless a study's name can be that of a directory."""
    good = isinstance(study, str) and re.fullmatch(r"[A-Za-z0-9][\w.,=+-]{0,99}", study, flags=re.ASCII)
    rule = "a folder name of up to 100 letters, digits and . , = + - _ that starts with a letter or digit"
    return None if good else Problem("study", rule, study)


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


def shape_problems(config: dict[str, Any]) -> Iterator[Problem | None]:
    """Yield a problem for groups and settings that are missing or unknown, and groups that are none."""
    known = [item.name for item in fields(Config)]
    for name in NEEDED:
        if name not in config:
            yield Problem(name, "given", None)
    for name, value in config.items():
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.7)
            hint = f", perhaps {near[0]}" if near else ""
            yield Problem(str(name), f"a setting of --help{hint}", value)
    for name in GROUPS:
        if name in config and not (isinstance(config[name], dict) and "_target_" in config[name]):
            yield Problem(name, "a choice of the group, or settings with a _target_", config[name])
    if not isinstance(pins := config.get("seeds", {}), dict) or not set(pins) <= set(PURPOSES):
        yield Problem("seeds", f"settings of {', '.join(PURPOSES)}", pins)


def range_problems(config: dict[str, Any]) -> Iterator[Problem | None]:
    """Yield a problem for settings that are out of range, except those that the classes of the groups check."""
    if config["classes"] is not None:  # or the data say how many
        yield whole("classes", config["classes"], min_value=2, max_value=MAX_CLASSES)
    yield seeds_problem("seed", config["seed"])
    splits = [split for split in METRICS if split != "val" or config["data"].get("val_fraction")]
    metrics = [f"{split}/{name}" for split in splits for name in METRICS[split]]
    if (metric := config.get("optimized_metric", "test/accuracy")) not in metrics:
        yield Problem("optimized_metric", f"a metric of this condition, one of {', '.join(metrics)}", metric)
    yield _tuned_problem(config)
    yield choice("figures", config["figures"], FIGURES)
    yield choice("engine", config.get("engine", "auto"), ENGINES)
    yield allowed_problem(config.get("allow_targets", []))
    yield number("optimizer.lr", config["optimizer"].get("lr"), above=0, below=MAX_RATE)
    yield flag("optimizer.fused", config["optimizer"].get("fused", False))
    yield from _trainer_problems(config["trainer"])


def _tuned_problem(config: dict[str, Any]) -> Problem | None:
    """Return a problem unless ``tuned`` is null or names settings that there are."""
    if (tuned := config.get("tuned")) is None:
        return None
    names = [name.partition(".") for name in str(tuned).split("+")]
    good = all(group in GROUPS and name in config[group] for group, _, name in names)
    return None if good else Problem("tuned", "null, or settings joined by +, such as optimizer.lr", tuned)


def _trainer_problems(trainer: dict[str, Any]) -> Iterator[Problem | None]:  # noqa: C901
    yield whole("trainer.max_epochs", trainer.get("max_epochs"), min_value=1, max_value=MAX_EPOCHS)
    if (every := trainer.get("checkpoint_every")) is not None:
        yield whole("trainer.checkpoint_every", every, min_value=1, max_value=MAX_EPOCHS)
    yield choice("trainer.precision", trainer.get("precision"), PRECISIONS)
    if (accelerator := trainer.get("accelerator")) not in ("auto", "cpu"):
        yield choice("trainer.accelerator", accelerator, _accelerators())
    if trainer.get("devices") != 1 or isinstance(trainer["devices"], bool):
        yield Problem("trainer.devices", "1, as a stack trains on one device", trainer.get("devices"))
    if (clip := trainer.get("gradient_clip_val")) is not None:
        yield Problem("trainer.gradient_clip_val", "null, as a common norm would couple the seeds", clip)
    if (accumulate := trainer.get("accumulate_grad_batches", 1)) != 1:
        yield Problem("trainer.accumulate_grad_batches", "1; set data.batch_size instead", accumulate)
    yield whole("trainer.log_every_n_steps", trainer.get("log_every_n_steps", 1), min_value=1, max_value=MAX_EPOCHS)
    yield whole("trainer.num_sanity_val_steps", trainer.get("num_sanity_val_steps", 0), min_value=0, max_value=0)
    if (logger := trainer.get("logger", False)) is not False:
        yield Problem("trainer.logger", "false; export= selects the files that every seed leaves", logger)
    if (keeps := trainer.get("enable_checkpointing", False)) is not False:
        yield Problem("trainer.enable_checkpointing", "false, as every seed leaves a checkpoint of its own", keeps)
    for name in ("enable_progress_bar", "enable_model_summary", "benchmark", "detect_anomaly"):
        yield flag(f"trainer.{name}", trainer.get(name, False))
    if not isinstance(fixed := trainer.get("deterministic", False), bool) and fixed != "warn":
        yield Problem("trainer.deterministic", "true, false or warn", fixed)
    if (profiler := trainer.get("profiler")) is not None:
        yield choice("trainer.profiler", profiler, ("simple", "advanced"))
    known = {*_trainer_settings(), *DIAGNOSTICS, "gradient_clip_val", "accumulate_grad_batches", "_target_"}
    for name, value in trainer.items():
        if name not in known:
            yield Problem(f"trainer.{name}", "left out, as every seed trains on all its points for max_epochs", value)


@cache
def _trainer_settings() -> list[str]:
    """Return the names of the settings that the trainer has by default."""
    return [str(name) for name in OmegaConf.load(CONFIG_DIR / "trainer" / "default.yaml")]


def _accelerators() -> list[str]:
    """Return the accelerators that this machine has, by Lightning's names."""
    from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator  # takes seconds to import

    cuda, mps = CUDAAccelerator.is_available(), MPSAccelerator.is_available()
    return ["auto", "cpu", *["cuda"] * cuda, *["mps"] * mps, *["gpu"] * (cuda or mps)]
