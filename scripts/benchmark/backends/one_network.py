"""One network of the work as a torch module, for the backends that train networks one at a time."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from scripts.benchmark.backends.work import Layers, Work


def network_of(work: Work, index: int) -> nn.Sequential:
    """Return one network with its initial parameters."""
    layers = work.layers
    linear = [nn.Linear(*weight.shape[1:]) for weight, _ in layers]
    network = nn.Sequential(linear[0], *(module for each in linear[1:] for module in (nn.ReLU(), each)))
    with torch.no_grad():
        for each, (weight, bias) in zip(linear, layers, strict=True):
            each.weight.copy_(torch.from_numpy(weight[index].T))
            each.bias.copy_(torch.from_numpy(bias[index]))
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
