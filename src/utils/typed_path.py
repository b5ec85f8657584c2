"""Paths as they were typed, which ``hydra.job.chdir=true`` does not change."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig


def typed_folder() -> Path:
    """Return the folder in which the command was typed, which Hydra may have left for that of the job."""
    return Path(HydraConfig.get().runtime.cwd) if HydraConfig.initialized() else Path.cwd()


def typed_path(path: str) -> Path:
    """Return the path of a file that was typed, absolute where Hydra has changed the current directory."""
    folder = typed_folder()
    return Path(path) if folder == Path.cwd() else folder / path
