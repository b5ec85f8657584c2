"""Finish a condition: what is done is kept, what is missing is trained, once, however many launches want it."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from hydra.errors import CompactHydraException

from src.config.instantiate import stack
from src.experiments.condition import Condition
from src.experiments.finished import completed
from src.experiments.train_stack import train_stack
from src.experiments.write_run import write_failure
from src.storage.atomic import recover
from src.storage.locks import lock_free
from src.storage.schema import FAILED, Results
from src.training.callbacks.checkpoint import clear
from src.utils.seeds import PURPOSES, SeedStreams
from src.utils.versions import versions

log = logging.getLogger(__name__)


class FailedSeedsError(CompactHydraException):
    """Some seeds of a condition failed; the others are finished.

    Attributes:
        overrides: The settings with which the same command trains just the failed seeds again. Where pinned streams
            are crossed and the failed ones are no cross, it reaches finished seeds too, which are kept.
    """

    overrides: list[str]

    @classmethod
    def check(cls, results: Iterable[Results]) -> None:
        """Raise if any of the results is that of a failed seed."""
        results = list(results)
        failed = [result for result in results if result.status == FAILED]
        if failed:
            reasons = Counter(result.error for result in failed)
            seeds = "; ".join(
                f"{', '.join(result.name for result in failed if result.error == reason)}: {reason}"
                for reason in reasons
            )
            error = cls(f"{len(failed)} of {len(results)} seeds of {failed[0].condition} failed: {seeds}")
            error.overrides = _rerun(failed)
            raise error


def run_condition(condition: Condition) -> list[Results]:
    """Train what is not done yet of a condition, and return the results of all its seeds, failed ones included.

    Seeds on which another launch works are left to it: when it has ended, what it finished is kept, and what it left,
    because it died or failed, is trained here.

    Raises:
        OSError: If a file cannot be written.
        NewerSchemaError: If a newer losslab wrote the results of a seed.
    """
    members = {condition.seed_folder(member): member for member in stack(condition.config)}
    done = _kept(condition, members)
    if done:
        log.info("%d of %d seeds are finished and kept; resume=false trains them again", len(done), len(members))
    waiting = [folder for folder in members if folder not in done]
    while waiting:
        with lock_free(condition.folder, [folder.name for folder in waiting]) as names:
            mine = {folder: members[folder] for folder in waiting if folder.name in names}
            for folder in mine:
                recover(folder)
            found = _kept(condition, mine)
            left = [member for folder, member in mine.items() if folder not in found]
            done |= found | (_train_stack(condition, left) if left else {})
        waiting = [folder for folder in waiting if folder not in mine]
        if waiting:
            log.info("%d seeds are left to another launch, which is waited for", len(waiting))
    clear(condition.folder, [folder.name for folder in done])
    _tell_versions(done.values())
    return [done[folder] for folder in members]


def _kept(condition: Condition, folders: Iterable[Path]) -> dict[Path, Results]:
    return completed(folders, condition.fingerprint) if condition.config["resume"] else {}


def _train_stack(condition: Condition, members: list[SeedStreams]) -> dict[Path, Results]:
    """Train a stack; halve one that memory cannot hold, and fail all seeds of one that raises anything else."""
    started = time.time()
    log.debug("%d seeds are trained", len(members))  # hydra.verbose=src.experiments.runner shows it
    try:
        return train_stack(condition, members)
    except Exception as error:
        too_large = _out_of_memory(error) and len(members) > 1
        if not too_large:
            if isinstance(error, OSError):  # of which no file could tell
                raise
            log.exception("%d seeds failed", len(members))
            seconds = time.time() - started
            return {
                condition.seed_folder(member): write_failure(condition, member, error, seconds) for member in members
            }
    # Outside of the handler, whose traceback holds the tensors of the stack.
    half = len(members) // 2
    log.warning("%d seeds do not fit into memory together; they are trained as two stacks", len(members))
    return _train_stack(condition, members[:half]) | _train_stack(condition, members[half:])


def _out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type of its own for the memory of the processor."""
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return typed or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def _tell_versions(kept: Iterable[Results]) -> None:
    """Say which kept seeds other versions of the code or of a library trained."""
    now = versions()
    others = Counter(
        ", ".join(
            f"{name} {version}" for name, version in results.versions.items() if now.get(name, version) != version
        )
        for results in kept
    )
    for differences, count in others.items():
        if differences:
            log.warning("%d seeds were trained with %s; resume=false trains them again", count, differences)


def _rerun(failed: list[Results]) -> list[str]:
    """Return the overrides of ``seed`` and of pinned streams that reach the failed seeds and few others."""
    seeds: dict[str, list[int]] = {"seed": sorted({result.seed for result in failed})}
    given: Mapping[str, object] = failed[0].config["seeds"]
    for purpose in PURPOSES:
        if given.get(purpose) is not None:
            seeds[f"seeds.{purpose}"] = sorted({result.streams[purpose] for result in failed})
    kept = [] if failed[0].config["resume"] else ["resume=true"]
    return [f"{name}=[{','.join(map(str, values))}]" for name, values in seeds.items()] + kept
