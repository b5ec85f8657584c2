"""The backend ``vmap``: torch.func.vmap over the gradient of one network, one fused Adam, denormals flushed."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from scripts.benchmark.backends.one_network import network_of
from scripts.benchmark.backends.work import Layers, Pause, Work


def train(work: Work, pause: Pause, compiled: Callable[[Any], Any] = lambda function: function) -> Layers:
    """Train all networks together.

    Args:
        work: The networks and their samples.
        pause: Called after each segment.
        compiled: Returns a function that computes the same as another one.
    """
    torch.set_flush_denormal(True)
    networks = [network_of(work, index) for index in range(len(work.x))]
    parameters, _ = stack_module_state(networks)
    x, target = torch.from_numpy(work.x), torch.from_numpy(work.target)  # (S, N, D), (S, N)
    optimizer = torch.optim.Adam(parameters.values(), lr=work.lr, fused=True)

    def loss(state: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(networks[0], state, (x,)), target)

    gradients = compiled(vmap(grad(loss)))
    seeds = torch.arange(len(x))[:, None]
    for epochs in work.segments:
        for _ in range(epochs):
            permutation = torch.rand(target.shape).argsort(1)  # (S, N)
            shuffled = (
                x[seeds, permutation].split(work.batch_size, 1),
                target[seeds, permutation].split(work.batch_size, 1),
            )
            for batch in zip(*shuffled, strict=True):
                detached = {name: value.detach() for name, value in parameters.items()}
                for name, gradient in gradients(detached, *batch).items():
                    parameters[name].grad = gradient
                optimizer.step()
        pause()
    values = [value.numpy(force=True) for value in parameters.values()]
    return [(weight.swapaxes(1, 2), bias) for weight, bias in zip(values[::2], values[1::2], strict=True)]
