"""Training of one stack: some seeds of a condition as one batched model, the files of each."""

import gc
import time
from pathlib import Path

from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import WandbLogger

from src.config.instantiate import build_callbacks, build_components, build_trainer
from src.experiments.condition import Condition
from src.experiments.write_run import write_run_safely
from src.experiments.write_stack import open_store
from src.storage.schema import Results
from src.training.callbacks.progress import TrainingProgress
from src.training.fit import fit
from src.training.single_thread import single_threaded
from src.utils.console import stdout
from src.utils.seed_streams import SeedStreams


def train_stack(condition: Condition, members: list[SeedStreams]) -> dict[Path, Results]:
    """Train some seeds of a condition together and write the files of each.

    Args:
        condition: The condition.
        members: The random streams of the S seeds, at least one.

    Returns:
        The results by directory, those of failed seeds included.

    Raises:
        OSError: If a file cannot be written; with ``storage=files`` the seeds before it are finished.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With code 143 where SIGTERM ends the training, by Lightning after the running epoch.
        Exception: Whatever a loss, a distribution or a network raises while all seeds train.
    """
    config = condition.config
    label = f"loss={condition.choices['loss']} classes={config['classes']} seeds={len(members)}"
    with single_threaded():  # also while building: a forked worker that starts threads beside its parent's hangs
        components = build_components(config, members)
        started = time.time()
        snapshots = condition.snapshots(members)
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
        with open_store(condition, members) as store:
            for index, history in enumerate(histories):
                folder = condition.seed_folder(members[index])
                states = next((each.states for each in snapshots if each.index == index), {})
                results[folder] = write_run_safely(condition, store, components, index, history, span, states)
    components.classifier.release()
    if config["figures"] != "none":
        gc.collect()  # a figure's artists refer to each other
    return results
