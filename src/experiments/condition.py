"""A condition: everything but the seed."""

import logging
import re
from collections.abc import Callable
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
from src.utils.seeds import PURPOSES, SeedStreams

log = logging.getLogger(__name__)

REFERENCES = ("bayes/", "linear/", "ideal/")  # metrics that are the same for all seeds


@dataclass(frozen=True)
class Condition:
    """Everything but the seed.

    Attributes:
        folder: Where its seeds' folders go.
        config: The resolved config.
        choices: The choices of the config groups.
        overrides: The command line's overrides.
        first_part: Whether the first of these seeds is also that of the whole condition, other seeds of which other
            jobs may train.
    """

    folder: Path
    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    first_part: bool = True

    @cached_property
    def fingerprint(self) -> str:
        """The hash of the scientific config."""
        return fingerprint(self.config, self.choices)

    @cached_property
    def logger(self) -> Callable[..., Any] | None:
        """What writes the TensorBoard files, if they are asked for."""
        config = self.config["logger"]
        return None if config["_target_"] is None else factory(self.config, "logger")

    def seed_folder(self, member: SeedStreams) -> Path:
        """Return the folder of one member of the stack."""
        return schema.seed_folder(self.folder, member.seed, member.pins)

    def draws(self, member: SeedStreams) -> bool:
        """Whether the figures of a member are asked for."""
        wanted = self.config["figures"]
        return wanted == "all" or (wanted == "first" and self.first_part and member == stack(self.config)[0])

    def checkpoints(self, members: list[SeedStreams]) -> list[L.Callback]:
        """Return what keeps checkpoints of a stack in training, where they are asked for."""
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
        )
