"""What a user types, run as a user runs it: in another folder, in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of data=noisy_cubic, the default; other data have other settings of their size.
SHORT = ("trainer.max_epochs=2", "data.samples_per_class=10", "figures=none")


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(module: str, *arguments: str, folder: Path, code: int | None = 0) -> Finished:
    """Run ``python -m module`` in a folder and check its exit code, unless that is None."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return Finished(done.returncode, done.stdout, done.stderr)


def results(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Return all results.json below a folder by condition and seed."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("**/results.json"))]
    return {(content["condition"], content["seed"]): content for content in found}


def files(folder: Path) -> set[str]:
    """Return the paths of all files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
