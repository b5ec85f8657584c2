"""One network of the work as a torch module, for the backends that train networks one at a time."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from scripts.benchmark.backends.work import Layers, Work
from scripts.benchmark.lecture_loop import make_network


def network_of(work: Work, index: int) -> nn.Sequential:
    """Return one network with its initial parameters."""
    network = make_network(work.layers[-1][1].shape[1])
    with torch.no_grad():
        for linear, (weight, bias) in zip(_linear(network), work.layers, strict=True):
            linear.weight.copy_(torch.from_numpy(weight[index].T))
            linear.bias.copy_(torch.from_numpy(bias[index]))
    return network


def loader_of(work: Work, index: int) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Return a loader of the samples of one network."""
    samples = TensorDataset(torch.from_numpy(work.x[index]), torch.from_numpy(work.target[index]))
    return DataLoader(samples, batch_size=work.batch_size, shuffle=True)


def layers_of(network: nn.Sequential) -> Layers:
    """Return the parameters of one network, with a leading axis S = 1."""
    return [(linear.weight.detach().numpy().T[None], linear.bias.detach().numpy()[None]) for linear in _linear(network)]


def _linear(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
