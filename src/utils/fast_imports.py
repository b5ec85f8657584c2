"""What makes a command start sooner."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def import_lightning() -> None:
    """Import Lightning without scipy.signal and torch._dynamo, which take a second of their own each.

    torchmetrics imports the first for one line, which gives an old name to a window function of audio processing.
    Lightning imports the second, the compiler of torch, to recognise and to leave out what somebody compiled, and
    optimizers import it to be left out when they are built. Nothing is compiled here; whoever imports either module
    later gets the real one.

    While this goes on nothing is looked for among what was imported, and nothing ever will be: it is no garbage.
    """
    if "lightning" in sys.modules:
        return
    gc.disable()
    with _stand_in("scipy.signal", hamming=None):
        importlib.import_module("torchmetrics")
    from torch.nn import Module
    from torch.optim import Optimizer

    compiled = type("OptimizedModule", (Module,), {})
    with _stand_in("torch._dynamo", OptimizedModule=compiled, disable=lambda function, *_, **__: function):
        importlib.import_module("lightning")
    for method in vars(Optimizer).values():
        if (plain := getattr(method, "__wrapped__", None)) is not None:
            plain.__dynamo_disable = plain
    gc.enable()
    gc.freeze()


@contextmanager
def _stand_in(name: str, **attributes: Any) -> Iterator[None]:
    """Put a module with these attributes in the place of one that is not imported yet, inside the body."""
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(attributes)
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]
