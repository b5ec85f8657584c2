"""Every objective of conf/loss with each number of classes that it takes: a new one is covered by adding its YAML."""

from itertools import product
from typing import Any, cast

import torch
from omegaconf import OmegaConf
from torch import Tensor

from src.config.instantiate import factory
from src.config.paths import CONFIG_DIR
from src.losses.base import Objective
from src.utils.validation import SettingsError

CONF = CONFIG_DIR / "loss"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
TAKEN: list[tuple[str, int]] = []
REFUSED: list[tuple[str, int]] = []


def settings(name: str) -> dict[str, Any]:
    """Return the settings of a file of conf/loss."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml")))


def make(name: str, classes: int, **options: Any) -> Objective:
    """Build an objective for a number of classes."""
    objective: Objective = factory({"loss": settings(name) | options}, "loss")(classes)
    return objective


for case in product(NAMES, (2, 3, 5)):
    try:
        make(*case)
        TAKEN.append(case)
    except SettingsError:
        REFUSED.append(case)


def random_outputs(outputs: int, classes: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Return outputs (3, 6, outputs), float64, and target (3, 6), to hold a loss against its reference."""
    generator = torch.Generator().manual_seed(classes)
    x = scale * torch.randn(3, 6, outputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (3, 6), generator=generator)
