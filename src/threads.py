"""Threads of tensor operations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run tensor operations on one thread inside the body.

    The tensors of a stack are small, and threads that wait for each other at every operation cost more than they gain:
    beside any other busy process, ten to fifty times the time. Threads also cut a large product inside, and the cut
    rounds differently; on one thread no result depends on the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
