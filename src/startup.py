"""What makes a command start sooner."""

import importlib
import sys
from types import ModuleType


def import_torchmetrics() -> None:
    """Import torchmetrics, which Lightning does, without scipy.signal, which takes a second of its own.

    torchmetrics imports it for one line, that gives an old name to a window function of audio processing. Here an
    empty module stands in for it meanwhile; whoever imports scipy.signal later gets the real one.
    """
    absent = "scipy.signal" not in sys.modules
    if absent:
        stand_in = ModuleType("scipy.signal")
        stand_in.hamming = None  # type: ignore[attr-defined]
        sys.modules["scipy.signal"] = stand_in
    try:
        importlib.import_module("torchmetrics")
    finally:
        if absent:
            del sys.modules["scipy.signal"]
