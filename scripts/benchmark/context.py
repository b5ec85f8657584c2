"""What something was measured with."""

import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from scripts.benchmark.command import ROOT
from scripts.benchmark.engine import cores

CPUINFO = Path("/proc/cpuinfo")


def context(quick: bool) -> dict[str, Any]:
    """Return what a part was measured with."""
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "quick": quick,
        "commit": commit or "unknown",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "cores": cores(),
        "processor": processor(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def processor() -> str:
    """Return the processor's name as far as the system tells."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
