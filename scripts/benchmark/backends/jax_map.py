"""The backend ``jax_map``: the scans of the backend ``jax``, one network after the other by lax.map."""

from functools import partial

import jax

from scripts.benchmark.backends import jax_scan
from scripts.benchmark.backends.work import Layers, Pause, Work


def train(work: Work, pause: Pause) -> Layers:
    """Train all networks, ``work.chunk`` in one call."""
    return jax_scan.train(work, pause, lambda scan: partial(jax.lax.map, scan))
