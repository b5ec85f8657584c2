"""Pause of Python's garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Keep the garbage collector from scanning objects inside the body.

    Where millions of them live until the end, as the results of 100,000 runs do, scanning them again and again takes a
    fifth of the time. What has no cycles is freed as always.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
