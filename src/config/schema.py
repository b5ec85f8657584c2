"""Structured configs: the settings of a condition, each with a rule for its values.

``conf/train.yaml`` is based on ``Config``, and it and ``conf/trainer/default.yaml`` hold the defaults. A rule is a
function of name and value that returns a ``Problem`` or None; rules between settings are in ``src.config.validation``.
The fields have no types for OmegaConf to check: it would report the first wrong value only, and convert others.

Data, losses, models and optimizers have no schema: their settings are the arguments of their ``_target_``, which may be
a class of the user, and which names and checks them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from src.storage.stack_table import EXTRA
from src.utils.seeds import seeds_problem
from src.utils.validation import Problem, choice, flag, number, whole

MAX_CLASSES = 1000
MAX_EPOCHS = 10**9
Rule = Callable[[str, Any], Problem | None]


def setting(rule: Rule | None = None, default: Any = MISSING) -> Any:
    """Return a field of a structured config, which has to be given unless it has a default."""
    return field(default=default, metadata={"rule": rule})


def optional(rule: Rule) -> Rule:
    """Return a rule that also accepts null."""
    return lambda name, value: None if value is None else rule(name, value)


def only(allowed: Any, reason: str) -> Rule:
    """Return a rule that accepts one value; ``reason`` follows "Expected ... to be"."""
    kind = type(allowed)  # True == 1
    return lambda name, value: None if type(value) is kind and value == allowed else Problem(name, reason, value)


def study_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless a study's name can be that of a directory."""
    good = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][\w.,=+-]{0,99}", value, flags=re.ASCII)
    rule = "a folder name of up to 100 letters, digits and . , = + - _ that starts with a letter or digit"
    return None if good else Problem(name, rule, value)


def path_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value can be the path of a directory."""
    good = isinstance(value, str) and value and value.isprintable()
    return None if good else Problem(name, "the path of a directory", value)


def tags_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is a list of words."""
    good = isinstance(value, list) and all(isinstance(tag, str) and tag for tag in value)
    return None if good else Problem(name, "a list of words, such as [pilot,lecture]", value)


def storage_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is a storage, for which the packages are installed."""
    if value == "table" and not all(map(find_spec, ("pyarrow", "safetensors"))):
        return Problem(name, f"files; for table, {EXTRA}", value)
    return choice(name, value, ("files", "table"))


def accelerator_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is an accelerator of this machine, by Lightning's names."""
    if value in ("auto", "cpu"):
        return None
    from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator  # takes seconds to import

    cuda, mps = CUDAAccelerator.is_available(), MPSAccelerator.is_available()
    return choice(name, value, ["auto", "cpu", *["cuda"] * cuda, *["mps"] * mps, *["gpu"] * (cuda or mps)])


_epochs = partial(whole, min_value=1, max_value=MAX_EPOCHS)


def max_steps_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is -1, for no limit, or a number of steps."""
    return None if type(value) is int and value == -1 else _epochs(name, value)


def dev_run_problem(name: str, value: Any) -> Problem | None:
    """Return a problem unless the value is true, false or a number of mini-batches."""
    good = isinstance(value, bool) or (isinstance(value, int) and value >= 1)
    return None if good else Problem(name, "true, false or a whole number of at least 1", value)


def batches_problem(name: str, value: Any, min_value: int = 0) -> Problem | None:
    """Return a problem unless the value is a number of mini-batches, or a float, their share."""
    good = type(value) is int and value >= min_value
    good = good or (isinstance(value, float) and 0 <= value <= 1)
    return None if good else Problem(name, f"a whole number of at least {min_value}, or a share up to 1.0", value)


@dataclass
class SeedsConfig:
    """Seeds of the random streams: one seed, a list, or null to follow the run's seed."""

    data: Any = setting(optional(seeds_problem))
    split: Any = setting(optional(seeds_problem))
    init: Any = setting(optional(seeds_problem))
    shuffle: Any = setting(optional(seeds_problem))


@dataclass
class PathsConfig:
    """Directories."""

    output_dir: Any = setting(path_problem)


@dataclass
class TrainerConfig:
    """Settings of ``lightning.Trainer``, and ``checkpoint_every``; what would couple the seeds of a stack is refused.

    It is no node of ``Config``, which would add the settings that ``conf/trainer/default.yaml`` leaves out.
    """

    _target_: Any = setting()
    max_epochs: Any = setting(_epochs)
    checkpoint_every: Any = setting(optional(_epochs))
    accelerator: Any = setting(accelerator_problem)
    devices: Any = setting(only(1, "1, as a stack trains on one device"))
    precision: Any = setting(partial(choice, options=("32-true", "64-true", "bf16-true", "bf16-mixed")))
    log_every_n_steps: Any = setting(_epochs)
    num_sanity_val_steps: Any = setting(partial(whole, min_value=-1))
    logger: Any = setting(only(False, "false; logger= selects loggers"))
    enable_checkpointing: Any = setting(only(False, "false, as every seed leaves a checkpoint of its own"))
    enable_progress_bar: Any = setting(flag)
    enable_model_summary: Any = setting(flag)
    benchmark: Any = setting(flag, False)
    detect_anomaly: Any = setting(flag, False)
    deterministic: Any = setting(partial(choice, options=(True, False, "warn")), False)
    profiler: Any = setting(optional(partial(choice, options=("simple", "advanced"))), None)
    gradient_clip_val: Any = setting(optional(partial(number, above=0, below=1e30)), None)
    gradient_clip_algorithm: Any = setting(partial(choice, options=("norm", "value")), "norm")
    accumulate_grad_batches: Any = setting(partial(whole, min_value=1, max_value=MAX_EPOCHS), 1)
    fast_dev_run: Any = setting(dev_run_problem, False)
    min_epochs: Any = setting(optional(_epochs), None)
    max_steps: Any = setting(max_steps_problem, -1)
    min_steps: Any = setting(optional(_epochs), None)
    limit_train_batches: Any = setting(optional(partial(batches_problem, min_value=1)), None)
    limit_val_batches: Any = setting(optional(batches_problem), None)
    overfit_batches: Any = setting(batches_problem, 0)
    check_val_every_n_epoch: Any = setting(_epochs, 1)
    inference_mode: Any = setting(flag, True)
    enable_autolog_hparams: Any = setting(flag, True)
    callbacks: Any = setting(only(None, "left out; callbacks= selects them"), None)
    max_time: Any = setting(only(None, "null, as results would depend on the speed of the machine"), None)
    val_check_interval: Any = setting(only(None, "null, as seeds are validated after epochs"), None)
    reload_dataloaders_every_n_epochs: Any = setting(only(0, "0, as the data do not change"), 0)
    strategy: Any = setting(only("auto", "auto, as a stack trains on one device"), "auto")
    num_nodes: Any = setting(only(1, "1, as a stack trains on one device"), 1)
    sync_batchnorm: Any = setting(only(False, "false, as a stack trains on one device"), False)
    default_root_dir: Any = setting(only(None, "null; paths.output_dir sets where files go"), None)


@dataclass
class Config:
    """Settings of a condition, all of which ``conf/train.yaml`` sets."""

    data: Any = setting()
    loss: Any = setting()
    model: Any = setting()
    optimizer: Any = setting()
    scheduler: Any = setting()
    trainer: Any = setting()
    callbacks: Any = setting()
    logger: Any = setting()
    profiler: Any = setting()
    paths: Any = setting()
    export: Any = setting()
    classes: Any = setting(optional(partial(whole, min_value=2, max_value=MAX_CLASSES)))  # null: the data have them
    seed: Any = setting(seeds_problem)
    seeds: SeedsConfig = MISSING
    study: Any = setting(study_problem)
    tags: Any = setting(tags_problem)
    resume: Any = setting(flag)
    predictions: Any = setting(flag)
    fail_fast: Any = setting(flag)
    tuned: Any = setting()
    optimized_metric: Any = setting()
    allow_targets: Any = setting()
    storage: Any = setting(storage_problem)
    engine: Any = setting(partial(choice, options=("auto", "native", "torch")))
    figures: Any = setting(partial(choice, options=("first", "all", "none", "movie")))


ConfigStore.instance().store(name="config_schema", node=Config)
