"""Training of one stack: some seeds of one or more conditions as one batched model, the files of each."""

import gc
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import WandbLogger

from src.config.instantiate import build_callbacks, build_components, build_trainer
from src.experiments.condition import Condition
from src.experiments.write_run import write_run_safely
from src.experiments.write_stack import open_store
from src.parallel.schedule import JOINED_SETTINGS
from src.storage.schema import Results
from src.training.callbacks.progress import TrainingProgress
from src.training.fit import fit
from src.training.single_thread import single_threaded
from src.utils.console import stdout
from src.utils.seed_streams import SeedStreams

Parts = Sequence[tuple[Condition, list[SeedStreams]]]


def train_stack(condition: Condition, members: list[SeedStreams]) -> dict[Path, Results]:
    """Train some seeds of a condition together and write the files of each, as ``train_parts`` does."""
    return train_parts([(condition, members)])


def train_parts(parts: Parts) -> dict[Path, Results]:
    """Train some seeds of one condition together, or of several that can be joined, and write the files of each.

    Args:
        parts: Each condition with the random streams of its seeds, at least one.

    Returns:
        The results by directory, those of failed seeds included.

    Raises:
        OSError: If a file cannot be written; with ``storage=files`` the seeds before it are finished.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With code 143 where SIGTERM ends the training, by Lightning after the running epoch.
        Exception: Whatever a loss, a distribution or a network raises while all seeds train.
    """
    condition, _ = parts[0]
    config = condition.config
    members = [member for _, own in parts for member in own]
    label = f"loss={condition.choices['loss']} classes={config['classes']} seeds={len(members)}"
    if len(parts) > 1:
        label += f" conditions={len(parts)}"
    with single_threaded():  # also while building: a forked worker that starts threads beside its parent's hangs
        components = build_components(config, members, parts=optimizer_parts(parts))
        started = time.time()
        starts = list(accumulate((len(own) for _, own in parts), initial=0))
        snapshots = [
            each for (part, own), first in zip(parts, starts, strict=False) for each in part.snapshots(own, first)
        ]
        callbacks = [*build_callbacks(config), *snapshots, *condition.checkpoints(members)]
        if not any(isinstance(callback, ProgressBar) for callback in callbacks):
            callbacks.append(TrainingProgress(label, stdout()))
        trainer = build_trainer(config, callbacks, condition.folder)
        for logger in trainer.loggers:
            logger.log_hyperparams(config)
        try:
            histories = fit(components.classifier, components.datamodule, trainer)
        finally:
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish()  # the next stack of this process would log into the same run
        span = (started, max(started, time.time()))  # a clock may go backwards
        results = {}
        for (part, own), first in zip(parts, starts, strict=False):
            with open_store(part, own) as store:
                for index, member in enumerate(own, first):
                    states = next((each.states for each in snapshots if each.index == index), {})
                    written = write_run_safely(part, store, components, index, histories[index], span, states)
                    results[part.seed_folder(member)] = written
    components.classifier.release()
    if config["figures"] != "none":
        gc.collect()  # a figure's artists refer to each other
    return results


def optimizer_parts(parts: Parts) -> list[tuple[int, dict[str, Any]]]:
    """Return the number of seeds of each of several conditions and its scalars of the optimizer; empty for one."""
    if len(parts) == 1:
        return []
    return [
        (
            len(members),
            {name: value for name, value in condition.config["optimizer"].items() if name in JOINED_SETTINGS},
        )
        for condition, members in parts
    ]
