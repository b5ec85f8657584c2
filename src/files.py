"""Files and folders that a reader sees old and whole, or new and whole, never in part."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield the path of a scratch file beside ``target`` that takes its place when the body ends without an error."""
    scratch = target.with_name(f".{target.stem}.{os.getpid()}.new{target.suffix}")
    try:
        yield scratch
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes ``target`` when the body ends, and vanishes if the body raises.

    Readers see the old folder, whole, or the new one, whole; never a part. The old one stays if the new one cannot
    take its place.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}.new")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        scratch.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
