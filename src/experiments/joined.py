"""Training of several conditions as one stack, where they differ only in scalars of the optimizer."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from src.config.instantiate import stack
from src.experiments.condition import Condition
from src.experiments.runner import kept
from src.experiments.train_stack import train_parts
from src.parallel.schedule import JOINED_SETTINGS
from src.storage.atomic import recover
from src.storage.locks import lock_free
from src.storage.schema import NO_LOSS, Results
from src.utils.errors import first_line

log = logging.getLogger(__name__)

PLATEAUS = ("SeedPlateau", "ReduceLROnPlateau")  # schedulers with one rate of the optimizer to start from

_trained: dict[Path, Results] = {}  # by directory of a seed, while the jobs of its conditions run


@contextmanager
def trained_together(conditions: Sequence[Condition]) -> Iterator[None]:
    """Train the unfinished seeds of several conditions as one stack, whose results their jobs find in the body.

    What cannot be trained so is left to the jobs, which train each condition alone.
    """
    try:
        if joinable(conditions):
            _trained.update(_train(conditions))
    except Exception as error:  # such as too little memory, or a loss that raises: each job then fails by itself
        log.warning(
            "%d conditions are trained one by one, as one stack failed (%s)", len(conditions), first_line(error)
        )
    try:
        yield
    finally:
        _trained.clear()


def trained() -> Mapping[Path, Results]:
    """Return the results by directory of the seeds that were trained together."""
    return _trained


def joinable(conditions: Sequence[Condition]) -> bool:
    """Return whether conditions differ only in scalars of the optimizer, and nothing acts on a stack as a whole.

    Loggers and callbacks would see one stack in place of several, and a checkpoint of a stack is of one condition.
    """
    config = conditions[0].config
    optimizer, scheduler = (str(config[group]["_target_"]) for group in ("optimizer", "scheduler"))
    return (
        all(_shared(condition) == _shared(conditions[0]) for condition in conditions)
        and optimizer.startswith("torch.optim.")
        and not scheduler.endswith(PLATEAUS)
        and conditions[0].choices["loss"] != NO_LOSS
        and config["trainer"]["accelerator"] == "cpu"
        and config["trainer"].get("checkpoint_every") is None
        and config["data"]["class_weights"] == "none"
        and config["profiler"]["_target_"] is None
        and not config["logger"]
        and not config["callbacks"]
    )


def _shared(condition: Condition) -> dict[str, Any]:
    """Return the settings that joined conditions have in common."""
    config = condition.config
    optimizer = {name: value for name, value in config["optimizer"].items() if name not in JOINED_SETTINGS}
    return {"choices": condition.choices, **config, "optimizer": optimizer, "tuned": None}


def _train(conditions: Sequence[Condition]) -> dict[Path, Results]:
    """Train the seeds that are neither finished nor locked by another launch, unless they are of one condition."""
    parts = []
    with ExitStack() as locks:
        for condition in conditions:
            condition.folder.mkdir(parents=True, exist_ok=True)
            members = {condition.seed_folder(member): member for member in stack(condition.config)}
            names = [folder.name for folder in members]
            mine = set(locks.enter_context(lock_free(condition.folder, names, wait=False)))
            free = [folder for folder in members if folder.name in mine]
            for folder in free:
                recover(folder)
            done = kept(condition, free)
            if left := [members[folder] for folder in free if folder not in done]:
                parts.append((condition, left))
        if len(parts) < 2:
            return {}
        log.info("training %d seeds of %d conditions as one stack", sum(len(own) for _, own in parts), len(parts))
        return train_parts(parts)
