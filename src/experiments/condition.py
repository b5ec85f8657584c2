"""A condition: everything but the seed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L

from src.config.instantiate import factory, stack
from src.config.naming import fingerprint
from src.storage import schema
from src.storage.schema import Results
from src.training.callbacks.checkpoint import StackCheckpoint
from src.training.callbacks.snapshots import WeightSnapshots
from src.utils.seed_streams import SeedStreams
from src.utils.seeds import PURPOSES


@dataclass(frozen=True)
class Condition:
    """Everything but the seed.

    Attributes:
        folder: The directory that holds the directories of its seeds.
        config: The resolved configuration.
        choices: The choices of the config groups.
        overrides: The overrides of the command line.
        first_part: Whether the first of these seeds is the first of the whole condition; other jobs may train further
            seeds of it.
    """

    folder: Path
    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    first_part: bool = True

    @cached_property
    def fingerprint(self) -> str:
        """The hash of the settings that decide the results."""
        return fingerprint(self.config, self.choices)

    @cached_property
    def export(self) -> Callable[..., Any] | None:
        """The function that writes the TensorBoard files of a seed, or None."""
        config = self.config["export"]
        return None if config["_target_"] is None else factory(self.config, "export")

    def seed_folder(self, member: SeedStreams) -> Path:
        """Return the directory of one seed."""
        return schema.seed_folder(self.folder, member.seed, member.pins)

    def draws(self, member: SeedStreams) -> bool:
        """Return whether figures of a seed are drawn."""
        figures = self.config["figures"]
        return figures == "all" or (
            figures in ("first", "movie") and self.first_part and member == stack(self.config)[0]
        )

    def snapshots(self, members: list[SeedStreams], first: int = 0) -> list[WeightSnapshots]:
        """Return the callback that copies the weights of the seed that has a movie, if any.

        Args:
            members: The random streams of the seeds of this condition in a stack.
            first: Index of the first of them in the stack.
        """
        if self.config["figures"] != "movie":
            return []
        epochs = self.config["trainer"]["max_epochs"]
        return [WeightSnapshots(index, epochs) for index, member in enumerate(members, first) if self.draws(member)]

    def checkpoints(self, members: list[SeedStreams]) -> list[L.Callback]:
        """Return the callback that saves checkpoints of a stack in training, if any."""
        every = self.config["trainer"].get("checkpoint_every")
        names = [self.seed_folder(member).name for member in members]
        return [StackCheckpoint(self.folder, names, self.fingerprint, every)] if every else []

    def results(
        self,
        member: SeedStreams,
        seconds: float,
        metrics: dict[str, float],
        versions: dict[str, str],
        *,
        class_names: Sequence[Any] = (),
        error: str | None = None,
    ) -> Results:
        """Return what ``results.json`` holds for a seed: the same, whatever other seeds trained beside it."""
        own = [f"seed={member.seed}", *(f"seeds.{purpose}={seed}" for purpose, seed in member.pins.items())]
        return Results(
            study=self.config["study"],
            condition=self.folder.name,
            fingerprint=self.fingerprint,
            loss=self.choices["loss"],
            model=self.choices["model"],
            data=self.choices["data"],
            classes=self.config["classes"],
            seed=member.seed,
            streams={purpose: getattr(member, purpose) for purpose in PURPOSES},
            overrides=[word for word in self.overrides if not re.match(r"\+*seeds?[.=]", word)] + own,
            config=self.config | {"seed": member.seed, "seeds": dict.fromkeys(PURPOSES) | member.pins},
            versions=versions,
            seconds=seconds,
            metrics=metrics,
            status=schema.COMPLETED if error is None else schema.FAILED,
            error=error,
            class_names=list(class_names),
        )
