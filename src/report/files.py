"""Files that a reader sees old and whole, or new and whole, never in part."""

import os
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
