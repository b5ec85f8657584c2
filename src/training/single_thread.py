"""Single-threaded arithmetic, in which networks are trained and evaluated."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run tensor operations on one thread, and with denormal numbers flushed to zero, inside the body.

    The tensors of a stack are small, and threads that synchronise at every operation cost more than they save: ten to
    fifty times the time beside another busy process. Threads also split large products, which changes the rounding; on
    one thread no result depends on the number of cores.

    Adam's moments of dead units decay into denormals, which make a step three times slower.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    return bool(torch.tensor(1e-310, dtype=torch.float64) * 1 == 0)
