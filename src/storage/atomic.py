"""Atomic replacement of files and directories: readers see the old content or the new one, never a part of either."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_file(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield the path of a scratch file beside ``target`` that takes its place when the body ends without an error.

    The scratch file has the suffix of the target, by which some libraries choose a format, but not its name, by which
    others find what they read: TensorBoard reads every file whose name contains ``tfevents``.

    Args:
        target: The file to replace, in a directory that exists.
        durable: Whether to wait until the content is on the disk. Without it the file may be empty after a power
            failure, which does not matter inside ``replacing_folder``: that waits for all files at once.
    """
    scratch = target.with_name(f".{uuid.uuid4().hex}.new{target.suffix}")
    try:
        yield scratch
        if durable:
            flush(scratch)
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
    with new_content(target) as scratch:
        yield scratch
    take_place(target)


@contextmanager
def new_content(target: Path) -> Iterator[Path]:
    """Yield an empty scratch folder that ``take_place`` lets become ``target``, and that vanishes if the body raises.

    Raises:
        FileNotFoundError: If the folder that holds ``target`` is gone.
    """
    recover(target)
    scratch, _ = _beside(target)
    scratch.mkdir()
    try:
        yield scratch
    except BaseException:
        recover(target)
        raise


def take_place(target: Path) -> None:
    """Let the new content of a folder take its place, once it is on the disk.

    Raises:
        OSError: If it cannot; the old folder stays then, and the new content is gone.
    """
    scratch, old = _beside(target)
    try:
        flush(*scratch.rglob("*"), scratch)
        if target.exists():
            target.rename(old)
        scratch.rename(target)
        flush(target.parent)
    finally:
        recover(target)


@contextmanager
def numbered_folder(prefix: Path, holder: Path) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes ``prefix`` with the next number when the body ends.

    It vanishes if the body raises. Several processes may add folders of one prefix at once.

    Args:
        prefix: The path of the folder without its number.
        holder: A path in the same directory, of which one process at a time may make folders. What a killed process
            left is cleared away by ``recover(holder)``.

    Raises:
        FileNotFoundError: If the directory is gone.
    """
    recover(holder)
    scratch, _ = _beside(holder)
    scratch.mkdir()
    try:
        yield scratch
        flush(*scratch.rglob("*"), scratch)
        existing = [path.name.removeprefix(prefix.name) for path in prefix.parent.glob(f"{prefix.name}*")]
        number = max((int(text) + 1 for text in existing if text.isdecimal()), default=0)
        while not _renamed(scratch, prefix.with_name(f"{prefix.name}{number}")):
            number += 1
        flush(prefix.parent)
    finally:
        recover(holder)


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder and return True, or False where another process has taken the name."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise
        return False
    return True


def remove_folder(target: Path, holder: Path) -> None:
    """Remove a folder that readers see whole or not at all.

    Args:
        target: The folder.
        holder: A path in the same directory, as that of ``numbered_folder``; ``recover(holder)`` clears away what a
            killed process left.
    """
    scratch, _ = _beside(holder)
    target.rename(scratch)
    shutil.rmtree(scratch)


def recover(target: Path) -> None:
    """Clear away what a killed ``replacing_folder`` left; what it was about to replace stands in its place again."""
    scratch, old = _beside(target)
    if old.exists() and not target.exists():
        old.rename(target)
    for left in (scratch, old):
        if left.exists():
            shutil.rmtree(left)


def flush(*paths: Path) -> None:
    """Wait until files and folders are on the disk: a rename may get there before the content of what is renamed."""
    windows = sys.platform == "win32"
    for path in paths:
        if windows and path.is_dir():
            continue  # Windows opens no directories
        handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _beside(target: Path) -> tuple[Path, Path]:
    """Return where the new content of a folder grows, and where the old one waits while they change places."""
    return target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
