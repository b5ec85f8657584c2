"""Dead ReLU units: those that are 0 for every training sample, and receive no gradient."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from src.metrics.predictions import MAX_BLOCK
from src.models.activations import ACTIVATIONS
from src.models.custom import Custom

DEAD_UNITS = "train/dead_units"


@torch.no_grad()
def dead_units(network: nn.Module, index: int, x: Tensor) -> dict[str, float]:
    """Return the share of dead ReLU units of each layer of one network.

    Args:
        network: S networks, on any device.
        index: Index of the network in the stack, in [0, S).
        x: The training samples of this seed, (N, D).

    Returns:
        ``train/dead_units/1``, ``train/dead_units/2``, ... in the order of the layers; nothing for a network without
        ReLU. Of a network of ``model=custom``, the layers are the calls of its modules ``torch.nn.ReLU``.
    """
    alive: list[Tensor] = []
    for block in x.split(MAX_BLOCK):
        active = [(outputs > 0).flatten(1).any(0) for outputs in _relu_outputs(network, index, block)]
        alive = [one | other for one, other in zip(alive, active, strict=True)] if alive else active
    return {f"{DEAD_UNITS}/{layer}": 1 - units.double().mean().item() for layer, units in enumerate(alive, start=1)}


def _relu_outputs(network: nn.Module, index: int, x: Tensor) -> Iterator[Tensor]:
    """Yield the outputs (N, ...) of each ReLU for some samples (N, D)."""
    if isinstance(network, Custom):
        yield from _hooked(network.network, index, x)
        return
    for layer, activation in getattr(network, "layers", []):
        weight, bias = (each[index].cpu() for each in (layer.weight, layer.bias))
        x = activation.value(bias + x.to(weight.dtype) @ weight)
        if activation is ACTIVATIONS["relu"]:
            yield x


def _hooked(module: nn.Module, index: int, x: Tensor) -> list[Tensor]:
    """Return the outputs of the modules ``torch.nn.ReLU`` of one network whose parameters lead with S."""
    outputs: list[Tensor] = []
    relus = [each for each in module.modules() if isinstance(each, nn.ReLU)]
    if not relus:
        return []
    hooks = [relu.register_forward_hook(lambda _module, _inputs, output: outputs.append(output)) for relu in relus]
    state = {name: value[index].cpu() for name, value in module.state_dict().items()}
    module.eval()
    try:
        functional_call(module, state, (x.to(next(iter(state.values())).dtype),))
    finally:
        for hook in hooks:
            hook.remove()
    return outputs
