"""The backend ``compiled``: the gradient of the backend ``vmap``, compiled by torch.compile."""

import torch

from scripts.benchmark.backends import torch_vmap
from scripts.benchmark.backends.work import Layers, Pause, Work


def train(work: Work, pause: Pause) -> Layers:
    """Train all networks together."""
    return torch_vmap.train(work, pause, torch.compile)
