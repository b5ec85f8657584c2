"""Execution of a condition: finished seeds are kept, missing ones are trained once, also by concurrent launches."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from hydra.errors import CompactHydraException

from src.config.instantiate import stack
from src.experiments.condition import Condition
from src.experiments.finished import completed
from src.experiments.train_stack import train_stack
from src.experiments.write_run import write_failure
from src.experiments.write_stack import open_store
from src.storage.atomic import recover
from src.storage.locks import lock_free, remove_abandoned
from src.storage.schema import FAILED, Results
from src.storage.stack_table import broken_stacks
from src.training.callbacks.checkpoint import clear
from src.utils.seed_streams import SeedStreams
from src.utils.seeds import PURPOSES
from src.utils.versions import versions

log = logging.getLogger(__name__)


class FailedSeedsError(CompactHydraException):
    """Some seeds of a condition failed; the others are finished.

    Attributes:
        overrides: The settings that restrict the same command to the failed seeds. With crossed pinned streams they
            may include finished seeds as well, which are kept.
    """

    overrides: list[str]

    @classmethod
    def check(cls, results: Iterable[Results]) -> None:
        """Raise if any of the seeds failed."""
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


def run_condition(condition: Condition, trained: Mapping[Path, Results] = MappingProxyType({})) -> list[Results]:
    """Train the seeds of a condition that are not finished, and return the results of all seeds, failed ones included.

    Seeds that another launch has locked are left to it. When its lock is released, the seeds it finished are kept and
    those it left, because it was killed or failed, are trained here.

    Args:
        condition: The condition.
        trained: Results by directory of a seed, of those that have just been trained with other conditions.

    Raises:
        OSError: If a file cannot be written.
        NewerSchemaError: If a newer losslab wrote the results of a seed.
    """
    members = {condition.seed_folder(member): member for member in stack(condition.config)}
    for problem in broken_stacks(condition.folder):
        log.warning("%s", problem)
    just = {folder: trained[folder] for folder in members if folder in trained}
    done = kept(condition, [folder for folder in members if folder not in just])
    if done:
        log.info("%d of %d seeds are finished and kept; resume=false trains them again", len(done), len(members))
    done |= just
    waiting = [folder for folder in members if folder not in done]
    while waiting:
        with lock_free(condition.folder, [folder.name for folder in waiting]) as names:
            mine = {folder: members[folder] for folder in waiting if folder.name in names}
            for folder in mine:
                recover(folder)
            found = kept(condition, mine)
            left = [member for folder, member in mine.items() if folder not in found]
            done |= found | (_train_stack(condition, left) if left else {})
        waiting = [folder for folder in waiting if folder not in mine]
        if waiting:
            log.info("waiting for another launch that trains %d of the seeds", len(waiting))
    remove_abandoned(condition.folder)
    clear(condition.folder, [folder.name for folder in done])
    _log_versions(done.values())
    return [done[folder] for folder in members]


def kept(condition: Condition, folders: Iterable[Path]) -> dict[Path, Results]:
    """Return the results of the seeds that are finished, none with ``resume=false``."""
    return completed(folders, condition.fingerprint) if condition.config["resume"] else {}


def _train_stack(condition: Condition, members: list[SeedStreams]) -> dict[Path, Results]:
    """Train a stack; halve it where memory does not suffice, and fail all of its seeds on any other error."""
    started = time.time()
    log.debug("training %d seeds", len(members))
    try:
        return train_stack(condition, members)
    except Exception as error:
        if isinstance(error, OSError):  # no results can be written either
            raise
        if not (_out_of_memory(error) and len(members) > 1):
            log.exception("%d seeds failed", len(members))
            seconds = max(0.0, time.time() - started)  # a clock may go backwards
            with open_store(condition, members) as store:
                return {
                    condition.seed_folder(member): write_failure(condition, store, member, error, seconds)
                    for member in members
                }
    # Outside of the handler: its traceback keeps the tensors of the stack alive.
    half = len(members) // 2
    log.warning("%d seeds do not fit into memory together; training them as two stacks", len(members))
    return _train_stack(condition, members[:half]) | _train_stack(condition, members[half:])


def _out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory ran out; torch has no exception type for the memory of the CPU."""
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return typed or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def _log_versions(kept: Iterable[Results]) -> None:
    """Log which kept seeds were trained with other versions of the code or of a library."""
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
    """Return the overrides of ``seed`` and of pinned streams that select the failed seeds."""
    seeds: dict[str, list[int]] = {"seed": sorted({result.seed for result in failed})}
    given: Mapping[str, object] = failed[0].config["seeds"]
    for purpose in PURPOSES:
        if given.get(purpose) is not None:
            seeds[f"seeds.{purpose}"] = sorted({result.streams[purpose] for result in failed})
    kept = [] if failed[0].config["resume"] else ["resume=true"]
    return [f"{name}=[{','.join(map(str, values))}]" for name, values in seeds.items()] + kept
