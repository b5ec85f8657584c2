"""The backend ``loop``: the lecture's loop over a DataLoader."""

from scripts.benchmark.backends.one_network import layers_of, loader_of, network_of
from scripts.benchmark.backends.work import Layers, Pause, Work
from scripts.benchmark.lecture_loop import Loop


def train(work: Work, pause: Pause) -> Layers:
    """Train the first network."""
    network, loader = network_of(work, 0), loader_of(work, 0)
    loop = Loop("ce", network, work.lr)
    for epochs in work.segments:
        for _ in range(epochs):
            loop.epoch(loader)
        pause()
    return layers_of(network)
