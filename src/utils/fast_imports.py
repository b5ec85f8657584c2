"""Faster start of a command: Lightning without the modules that training never uses.

Only entry points call this module, before anything else imports Lightning: a process that uses losslab as a library is
left as it is. ``LOSSLAB_FAST_IMPORT=0`` turns all of it off. Together it saves 6 of 9.5 s of processor time on a slow
machine (torch 2.13, Lightning 2.6, torchmetrics 1.9): 2.7 s by the garbage collector, which would scan all that is
imported again and again; 1.9 s by ``torch._dynamo``; 1.4 s by ``scipy.signal``. None of these libraries has a setting
that does it.
"""

import atexit
import gc
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

SWITCH = "LOSSLAB_FAST_IMPORT"
TRIED = {"torch": "2.13", "lightning": "2.6", "torchmetrics": "1.9"}  # versions whose internals are replaced


def import_lightning() -> None:
    """Import Lightning, without ``scipy.signal`` and ``torch._dynamo`` where its version is one that was tried.

    The garbage collector is off during the import and never looks at the imported objects afterwards, not even at
    exit. Other versions than those tried are imported as they are. Nothing happens where Lightning is imported already.
    """
    if "lightning" in sys.modules:
        return
    if os.environ.get(SWITCH) == "0":
        importlib.import_module("lightning")
        return
    gc.disable()
    try:
        if are_tried_versions():
            _import_without_unused_modules()
        importlib.import_module("lightning")
    finally:
        gc.enable()
    gc.freeze()
    atexit.register(gc.freeze)  # otherwise a last collection adds a second at exit


def are_tried_versions() -> bool:
    """Return whether the installed versions are those whose internals ``import_lightning`` replaces."""
    installed = {name: importlib.metadata.version(name) for name in TRIED}
    return all(f"{installed[name]}.".startswith(f"{version}.") for name, version in TRIED.items())


def _import_without_unused_modules() -> None:
    """Import torchmetrics and Lightning with empty modules in place of two that take long.

    torchmetrics imports ``scipy.signal`` to give a window function of audio processing its old name. Lightning imports
    ``torch._dynamo``, torch's compiler, to recognise compiled modules, and the methods of optimizers import it to
    exclude themselves from compilation. Nothing is compiled here, and a later import of either gets the real module.
    """
    with _replaced("scipy.signal", hamming=None):
        importlib.import_module("torchmetrics")
    from torch.nn import Module
    from torch.optim import Optimizer

    compiled = type("OptimizedModule", (Module,), {})
    with _replaced("torch._dynamo", OptimizedModule=compiled, disable=lambda function, *_, **__: function):
        importlib.import_module("lightning")
    for method in vars(Optimizer).values():
        wrapped = getattr(method, "__wrapped__", None)
        if wrapped is not None:
            wrapped.__dynamo_disable = wrapped  # the attribute in which torch._compile keeps what it excluded


@contextmanager
def _replaced(name: str, **attributes: Any) -> Iterator[None]:
    """Replace a module that is not imported yet by one with these attributes, inside the body."""
    if name in sys.modules:
        yield
        return
    module = ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
