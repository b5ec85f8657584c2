"""Files and folders that a reader sees old and whole, or new and whole, never in part, whenever the power fails."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield the path of a scratch file beside ``target`` that takes its place when the body ends without an error."""
    scratch = target.with_name(f".{target.stem}.{os.getpid()}.new{target.suffix}")
    try:
        yield scratch
        _flush(scratch)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes ``target`` when the body ends, and vanishes if the body raises.

    Readers see the old folder, whole, or the new one, whole; never a part. The old one stays if the new one cannot
    take its place. One process at a time may replace a folder, see ``src.storage.locks``.

    Raises:
        FileNotFoundError: If the folder that holds ``target`` is gone.
    """
    recover(target)
    scratch, old = _beside(target)
    scratch.mkdir()
    try:
        yield scratch
        flush(*scratch.rglob("*"), scratch)
        if target.exists():
            target.rename(old)
        scratch.rename(target)
        _flush(target.parent)
    finally:
        recover(target)


def recover(target: Path) -> None:
    """Clear away what a killed ``replacing_folder`` left; what it was about to replace stands in its place again."""
    scratch, old = _beside(target)
    if old.exists() and not target.exists():
        old.rename(target)
    for left in (scratch, old):
        if left.exists():
            shutil.rmtree(left)


def flush(*paths: Path) -> None:
    """Wait until files and folders are on the disk: a rename may get there before the content of what is renamed.

    They are flushed side by side, which a file system does in the time of one.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(_flush, paths))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(target: Path) -> tuple[Path, Path]:
    """Return where the new content of a folder grows, and where the old one waits while they change places."""
    return target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
