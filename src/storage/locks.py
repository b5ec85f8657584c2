"""Which process works on which seed: two launches of one command share the work and never a folder."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = ".lock"


@contextmanager
def claimed(folder: Path, names: Sequence[str]) -> Iterator[list[str]]:
    """Yield those of some names in a folder that no other process has claimed, at least one; they stay ours.

    A claim is a lock on one byte of the file ``.lock`` in the folder, at an offset that the name decides. So one open
    file does for any number of seeds, and the operating system drops the claims of a process when it dies, however it
    dies: none is ever stale. Where every name is taken, this waits.

    Args:
        folder: A folder that exists.
        names: At least one name.

    Raises:
        OSError: If the folder is gone or cannot be written.
    """
    with (folder / LOCK).open("ab") as file:
        free = [name for name in names if _lock(file, name, wait=False)]
        if not free:
            _lock(file, names[0], wait=True)
            free = [names[0], *(name for name in names[1:] if _lock(file, name, wait=False))]
        yield free


def _lock(file: IO[bytes], name: str, *, wait: bool) -> bool:
    """Lock the byte of a name and say whether that worked, which it does always when waiting."""
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, offset)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as the system likes
        return False
    return True
