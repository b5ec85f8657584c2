"""The peer ``loop``: the lecture's loop over a DataLoader."""

from scripts.benchmark.lecture_loop import Loop
from scripts.benchmark.peers.one_network import layers_of, loader_of, network_of
from scripts.benchmark.peers.work import Layers, Pause, Work


def train(work: Work, pause: Pause) -> Layers:
    """Train the first network."""
    network, loader = network_of(work, 0), loader_of(work, 0)
    loop = Loop("ce", network, work.lr)
    for epochs in work.segments:
        for _ in range(epochs):
            loop.epoch(loader)
        pause()
    return layers_of(network)
