"""Paths as they were typed, which ``hydra.job.chdir=true`` does not change."""

import os
from pathlib import Path

from hydra.core.hydra_config import HydraConfig


def typed_folder() -> Path:
    """Return the folder in which the command was typed, which Hydra may have left for that of the job."""
    return Path(HydraConfig.get().runtime.cwd) if HydraConfig.initialized() else Path.cwd()


def typed_path(path: str | Path) -> Path:
    """Return the path of a file that was typed, absolute where Hydra has changed the current directory."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # in a locale without these letters, file names are bytes of UTF-8
        path = os.fsdecode(str(path).encode("utf-8", "surrogateescape"))
    folder = typed_folder()
    return Path(path) if folder == Path.cwd() else folder / path
