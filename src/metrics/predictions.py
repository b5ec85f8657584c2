"""Outputs and predictions of one network of a stack."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from src.losses.base import Objective

Network = Callable[[Tensor], Tensor]
Value = TypeVar("Value")

CPU = torch.device("cpu")
MAX_BLOCK = 5000  # samples per forward pass; the hidden layers of more would not fit the processor's cache


@dataclass(frozen=True)
class Predictions:
    """Predictions of one network: preds (N,), int64, and probabilities (N, C), or None."""

    preds: Tensor
    probabilities: Tensor | None


def seed_state(network: nn.Module, index: int) -> dict[str, Tensor]:
    """Return the state of one seed of a stacked network on the CPU, (1, ...) each, which may be views."""
    return {name: value[index : index + 1].cpu() for name, value in network.state_dict().items()}


def seed_network(network: nn.Module, index: int, state: dict[str, Tensor] | None = None) -> Network:
    """Return one seed of a stacked network, or another state of it, as a function (N, D) -> (N, O) on the CPU."""
    own = seed_state(network, index) if state is None else state
    return lambda x: with_weights(network, own, lambda outputs: outputs(x))


def with_weights(network: nn.Module, state: dict[str, Tensor], body: Callable[[Network], Value]) -> Value:
    """Return what a function makes of one seed of a stacked network, of which the network has the weights meanwhile.

    Giving a network its weights takes as long as some hundred samples, which its many calls by ``body`` share.

    Args:
        network: S networks.
        state: The state of one of them, (1, ...) each, on the CPU.
        body: A function of the seed as a function (N, D) -> (N, O) on the CPU.
    """
    outputs = _on_samples(network.eval(), next(iter(state.values())).dtype)
    named = {f"network.{name}": value for name, value in state.items()}
    found: Value = torch.func.functional_call(_Holder(network), named, (lambda: body(outputs),))
    return found


def seed_networks(network: nn.Module, indices: Iterable[int], device: torch.device = CPU) -> list[Network]:
    """Return some seeds of a stacked network as functions (N, D) -> (N, O) on the CPU that compute on a device.

    They share a copy of its modules, to which each gives its own weights, which may be views, before every call: many
    calls of all of them in turn take no longer than those of one. Modules that cannot be copied are given the weights
    by ``seed_network``, and compute on the CPU.
    """
    tensors = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
    try:
        own = copy.deepcopy(network, {id(value): value for _, value in tensors}).eval()
    except Exception:  # an attribute raises whatever it likes
        return [seed_network(network, index) for index in indices]
    outputs = _on_samples(own, tensors[0][1].dtype, device)
    places = []
    for name, _ in tensors:
        path, _, leaf = name.rpartition(".")
        module = own.get_submodule(path)
        places.append((module._parameters if leaf in module._parameters else module._buffers, leaf))

    def of_seed(index: int) -> Network:
        weights = [value.detach()[index : index + 1].to(device) for _, value in tensors]

        def own_outputs(x: Tensor) -> Tensor:
            for (holder, leaf), value in zip(places, weights, strict=True):
                holder[leaf] = value  # type: ignore[assignment]
            return outputs(x)

        return own_outputs

    return [of_seed(index) for index in indices]


def _on_samples(network: nn.Module, dtype: torch.dtype, device: torch.device = CPU) -> Network:
    """Return a stacked network of one seed, on a device, as a function (N, D) -> (N, O) on the CPU."""
    evaluate = getattr(network, "evaluate_seed", network)

    def outputs(x: Tensor) -> Tensor:
        with torch.no_grad():
            return by_blocks(evaluate, x.to(device, dtype)[None])[0].cpu()

    return outputs


class _Holder(nn.Module):
    """A network whose weights ``functional_call`` replaces while a function runs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, body: Callable[[], Any]) -> Any:
        return body()


def by_blocks(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return a network's outputs, computed block by block: (S, N, D) -> (S, N, O)."""
    if x.shape[1] <= MAX_BLOCK:
        return network(x)
    blocks = x.tensor_split(-(-x.shape[1] // MAX_BLOCK), dim=1)
    return torch.cat([network(block) for block in blocks], dim=1)


def predict(outputs: Tensor, objective: Objective) -> Predictions:
    """Apply the decision rule to the outputs (N, O) of one network."""
    stacked = outputs[None].double()  # a float32 probability underflows at logit gaps of 100, a float64 one at 700
    probabilities = objective.probabilities(stacked)
    return Predictions(objective.decode(outputs[None])[0], None if probabilities is None else probabilities[0])
