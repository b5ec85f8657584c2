"""The versions of the program and of the libraries that decide its results."""

import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("losslab", "torch", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy")
ROOT = Path(__file__).resolve().parents[2]  # of a clone; the directory of the packages where a wheel is installed
UNKNOWN = "unknown"


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries, and the commit of the project; ``unknown`` for any other."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}, "commit": commit()}


def commit() -> str:
    """Return the commit of a clone, with ``-dirty`` where it was edited, or ``unknown``."""
    if not (ROOT / ".git").exists():
        return UNKNOWN  # a parent directory may be a repository of something else
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return done.stdout.decode(errors="replace").strip()


def _version(package: str) -> str:
    """Return the version of a package: as installed, or, of a clone that is not installed, from ``pyproject.toml``."""
    try:
        return version(package)
    except PackageNotFoundError:
        pass
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return UNKNOWN
    return str(project["version"]) if project.get("name") == package else UNKNOWN
