"""One condition: its seeds are trained together, then evaluated and written one by one."""

import gc
import logging
import math
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from src.config.instantiate import Components, build_components, build_trainer, factory, stack
from src.experiments import write_run
from src.experiments.naming import fingerprint
from src.experiments.write_run import Training
from src.metrics.classification import evaluate
from src.metrics.log_odds import log_odds
from src.metrics.predictions import predict, seed_network
from src.models.base import ClosedForm
from src.plotting import run_figures
from src.storage import schema
from src.storage.atomic import replacing_folder
from src.storage.schema import FAILED, Results
from src.training.callbacks.checkpoint import StackCheckpoint
from src.training.callbacks.progress import TrainingProgress
from src.training.single_thread import single_threaded
from src.utils.console import stdout
from src.utils.seeds import PURPOSES, SeedStreams

log = logging.getLogger(__name__)

REFERENCES = ("bayes/", "linear/", "ideal/")  # metrics that are the same for all seeds


@dataclass(frozen=True)
class Condition:
    """Everything but the seed.

    Attributes:
        folder: Where its seeds' folders go.
        settings: The resolved settings.
        choices: The choices of the config groups.
        overrides: The command line's overrides.
    """

    folder: Path
    settings: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]

    @cached_property
    def fingerprint(self) -> str:
        """The hash of the scientific settings."""
        return fingerprint(self.settings, self.choices)

    @cached_property
    def logger(self) -> Callable[..., Any] | None:
        """What writes the TensorBoard files, if they are asked for."""
        settings = self.settings["logger"]
        return None if settings["_target_"] is None else factory(self.settings, "logger")

    def seed_folder(self, member: SeedStreams) -> Path:
        """Return the folder of one member of the stack."""
        return schema.seed_folder(self.folder, member.seed, member.pins)

    def draws(self, member: SeedStreams) -> bool:
        """Whether the figures of a member are asked for."""
        wanted = self.settings["figures"]
        return wanted == "all" or (wanted == "first" and member == stack(self.settings)[0])

    def checkpoints(self, members: list[SeedStreams]) -> list[L.Callback]:
        """Return what keeps checkpoints of a stack in training, where they are asked for."""
        every = self.settings["trainer"].get("checkpoint_every")
        names = [self.seed_folder(member).name for member in members]
        return [StackCheckpoint(self.folder, names, self.fingerprint, every)] if every else []

    def results(
        self,
        member: SeedStreams,
        seconds: float,
        metrics: dict[str, float],
        error: str | None,
        engine: str | None = None,
    ) -> Results:
        """Return what ``results.json`` says of a seed: the same, whatever other seeds trained beside it."""
        return Results(
            study=self.settings["study"],
            condition=self.folder.name,
            fingerprint=self.fingerprint,
            loss=self.choices["loss"],
            model=self.choices["model"],
            data=self.choices["data"],
            classes=self.settings["classes"],
            seed=member.seed,
            streams={purpose: getattr(member, purpose) for purpose in PURPOSES},
            overrides=[word for word in self.overrides if not re.match(r"\+*seeds?[.=]", word)]
            + [f"seed={member.seed}", *(f"seeds.{purpose}={seed}" for purpose, seed in member.pins.items())],
            config=self.settings | {"seed": member.seed, "seeds": dict.fromkeys(PURPOSES) | member.pins},
            versions=write_run.versions() | ({} if engine is None else {"engine": engine}),
            seconds=seconds,
            metrics=metrics,
            status=schema.COMPLETED if error is None else FAILED,
            error=error,
        )


def train(condition: Condition, members: list[SeedStreams]) -> dict[Path, Results]:
    """Train some seeds of a condition together and write a folder for each.

    Args:
        condition: The condition.
        members: The random streams of the S members of the stack, at least one.

    Returns:
        The results by folder, failed ones included.

    Raises:
        OSError: If a file cannot be written; the seeds before it are finished.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With code 143 where SIGTERM ends the training, by Lightning after the running epoch.
        Exception: Whatever a loss, a distribution or a network raises while all seeds train.
    """
    label = f"loss={condition.choices['loss']} classes={condition.settings['classes']} seeds={len(members)}"
    with single_threaded():  # also to build, as a forked worker that starts threads beside its parent's would hang
        parts = build_components(condition.settings, members)
        started = time.time()
        trainings = fit(parts, condition.settings, [TrainingProgress(label, stdout()), *condition.checkpoints(members)])
        span = (started, time.time())
        results = {
            condition.seed_folder(member): _write_safely(condition, parts, index, training, span)
            for index, (member, training) in enumerate(zip(members, trainings, strict=True))
        }
    parts.classifier.release()
    if condition.settings["figures"] != "none":
        gc.collect()  # the parts of a figure refer to each other
    return results


def fit(parts: Components, settings: dict[str, Any], callbacks: list[L.Callback]) -> list[Training]:
    """Fit every seed to its training points: by a formula where the model has one, else step by step.

    Args:
        parts: What the condition is made of, for the seeds to fit.
        settings: The resolved settings.
        callbacks: What watches the training.
    """
    if isinstance(parts.network, ClosedForm):
        parts.datamodule.setup()
        problems = parts.network.fit(parts.datamodule.train.x, parts.datamodule.train.target)
        return [write_run.without_steps(problem) for problem in problems]
    trainer = build_trainer(settings, callbacks)
    try:
        trainer.fit(parts.classifier, datamodule=parts.datamodule)
    except SIGTERMException:  # which would end the program with code 0
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # which Lightning turns into code 1, without a word
            raise KeyboardInterrupt from None
        raise
    return write_run.trainings(parts.classifier)


def fail(condition: Condition, member: SeedStreams, error: Exception, seconds: float) -> Results:
    """Write the folder of a seed that has nothing to show but the error, and return its results."""
    lines = str(error).strip().splitlines() or ["no message"]
    results = condition.results(member, seconds, {}, f"{type(error).__name__}: {lines[0]}")
    with replacing_folder(condition.seed_folder(member)) as folder:
        schema.write_results(folder, results)
    return results


def _write_safely(
    condition: Condition, parts: Components, index: int, training: Training, span: tuple[float, float]
) -> Results:
    """Evaluate and write one seed; what it raises, but for files, is the failure of this seed alone."""
    try:
        return _write(condition, parts, index, training, span)
    except OSError:
        raise
    except Exception as error:
        log.exception("%s failed", condition.seed_folder(parts.datamodule.streams[index]).name)
        return fail(condition, parts.datamodule.streams[index], error, span[1] - span[0])


def _write(
    condition: Condition, parts: Components, index: int, training: Training, span: tuple[float, float]
) -> Results:
    """Evaluate one seed of a trained stack and write its folder."""
    objective, data = parts.objective, parts.datamodule
    distribution, member = data.distribution, data.streams[index]
    train_split, test, val = (split[index : index + 1] for split in (data.train, data.test, data.val))
    metrics: dict[str, float] = {}
    images: dict[str, Path] = {}
    error = training.error
    with replacing_folder(condition.seed_folder(member)) as folder:
        if condition.draws(member):
            images |= run_figures.loss_curve(folder, training, objective)
        if error is None:
            network = seed_network(parts.network, index)
            metrics = evaluate(network, objective, distribution, train_split, test, val, parts.population)
            metrics |= log_odds(parts.network, objective, index)
            if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
                metrics, error = {}, f"not finite after the last epoch: {', '.join(wrong)}"
            else:
                if condition.settings["predictions"]:
                    predictions = predict(network(test.x[0]), objective)
                    write_run.write_predictions(folder, data.test_features(index), test.target[0], predictions)
                write_run.write_checkpoint(folder, parts.network, index, training)
                if condition.settings["figures"] != "none":
                    run_figures.write_regions(folder, network, objective, distribution, test)
                if condition.draws(member):
                    images |= run_figures.scatter(folder, network, objective, distribution, test, metrics)
        results = condition.results(member, span[1] - span[0], metrics, error, parts.engine)
        if condition.logger is not None:
            condition.logger(
                folder,
                history=training.history,
                metrics={name: value for name, value in metrics.items() if not name.startswith(REFERENCES)},
                hparams=write_run.hparams(results),
                started=span[0],
                ended=span[1],
                images=images,
                failed=error is not None,
            )
        write_run.write_seed(folder, results, training)
    return results
