"""Locks on the seeds of a condition: launches of the same command share the work and never a directory.

Each launch holds one lock file for all seeds that it trains, and lists their names beside it. The operating system
releases the lock of a process that dies, so a list without a lock is known to be left over.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

GUARD = ".lock"  # held for the moment in which locks are taken or released
POLL_SECONDS = 0.2


@contextmanager
def lock_free(folder: Path, names: Sequence[str], *, wait: bool = True) -> Iterator[list[str]]:
    """Lock those names in a directory that no other process has locked, and yield them; wait until one is free.

    Args:
        folder: A directory that exists.
        names: At least one name.
        wait: Whether to wait; otherwise there may be none.

    Yields:
        At least one of the names where it waits, in their order.

    Raises:
        OSError: If the directory is gone or cannot be written.
    """
    guard = FileLock(folder / GUARD)
    own = FileLock(folder / f"{GUARD}-{uuid.uuid4().hex}")
    while True:
        with _locked(guard):
            taken = _locked_names(folder)
            free = [name for name in names if name not in taken]
            if free or not wait:
                _names_of(own).write_text("\n".join(free), encoding="utf-8")
                own.acquire()
                break
        time.sleep(POLL_SECONDS)
    try:
        yield free
    finally:
        own.release()
        with contextlib.suppress(OSError), _locked(guard):  # the directory may be gone, or the disk full
            _remove(own)


def remove_abandoned(folder: Path) -> None:
    """Remove the lock files that killed launches left in a directory.

    Raises:
        OSError: If the directory cannot be written.
    """
    if sorted(folder.glob(f"{GUARD}-*")):
        with _locked(FileLock(folder / GUARD)):
            _locked_names(folder)


@contextmanager
def _locked(guard: FileLock) -> Iterator[None]:
    """Hold the guard; filelock alone would make the directory anew where it is gone."""
    Path(guard.lock_file).parent.stat()
    with guard:
        yield


def _locked_names(folder: Path) -> set[str]:
    """Return all names that a living process has locked, and remove what dead ones left; requires the guard."""
    locked: set[str] = set()
    for names in folder.glob(f"{GUARD}-*.names"):
        lock = FileLock(names.with_suffix(""))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            locked.update(names.read_text(encoding="utf-8").splitlines())
        else:
            lock.release()
            _remove(lock)
    return locked


def _names_of(lock: FileLock) -> Path:
    return Path(f"{lock.lock_file}.names")


def _remove(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)  # before its list, by which a later launch finds both
    _names_of(lock).unlink(missing_ok=True)
