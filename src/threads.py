"""Threads of tensor operations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Run tensor operations on one thread inside the body.

    Two threads share a batched product by whole matrices, but cut a single large product inside, and the cut rounds
    differently. A stack of one seed therefore trains on one thread, and every network is evaluated on one thread:
    then no result depends on S or on the number of cores.

    Args:
        only: False leaves the number of threads as it is.
    """
    before = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
