"""Structured configs: the names and types of the settings, which OmegaConf checks while Hydra composes.

``conf/train.yaml`` is based on ``Config`` and holds the defaults and what each setting means. Ranges, choices and rules
that involve several settings are in ``src.config.validation``, and so is what may have several types, such as one seed
or a list. The settings of a group are the arguments of its ``_target_``.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class SeedsConfig:
    """Seeds of the random streams: one seed, a list, or null to follow the run's seed."""

    data: Any = MISSING
    split: Any = MISSING
    init: Any = MISSING
    shuffle: Any = MISSING


@dataclass
class Config:
    """Settings of a condition, all of which ``conf/train.yaml`` sets."""

    data: Any = MISSING
    loss: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    trainer: Any = MISSING
    export: Any = MISSING
    classes: Any = MISSING
    seed: Any = MISSING
    seeds: SeedsConfig = MISSING
    study: Any = MISSING
    resume: bool = MISSING
    predictions: bool = MISSING
    fail_fast: bool = MISSING
    tuned: Any = MISSING
    optimized_metric: Any = MISSING
    allow_targets: Any = MISSING
    engine: Any = MISSING
    figures: Any = MISSING


ConfigStore.instance().store(name="config_schema", node=Config)
