"""Compilation of the native kernel and its cache."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-fno-math-errno", "-shared", "-fPIC")


def compile_kernel() -> Any:
    """Return the compiled kernel, from the user's cache if it is there, or None if it cannot be had."""
    tune = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    command = [compiler, *FLAGS, tune]
    mark = hashlib.sha256("\n".join([SOURCE.read_text(), *command, _processor()]).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "losslab"
    path = folder / f"native-{mark}.so"
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as beside:
                made = Path(beside) / path.name
                subprocess.run([*command, SOURCE, "-o", made, "-lm"], check=True, capture_output=True)  # noqa: S603
                made.replace(path)
        kernel = ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        log.debug("no native kernel: %s", error)
        return None
    return kernel


def _processor() -> str:
    """Return what tells processors with other instructions apart, as machines may share a home folder."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
