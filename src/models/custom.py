"""Any ``torch.nn.Module``, stacked along the axis S."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap

from src.models.mlp import MAX_WEIGHTS
from src.utils.validation import Problem, SettingsError, check

_TRIAL_SIZE = 4  # samples of the mini-batch on which a network is tried


class Custom(nn.Module):
    """S independent networks of any kind, stacked by ``torch.func``.

    Every parameter and buffer leads with the axis S, so each seed has its own, such as the running moments of a
    BatchNorm. A network that draws random numbers, as dropout does, draws those of each seed from a separate stream;
    such a network, or one that ``torch.func.vmap`` cannot run, is run seed by seed, which is slower.

    A seed's results are those of the seed alone up to rounding, and not bit for bit as with losslab's models.

    Args:
        in_features: Number of features D.
        out_features: Number of outputs O.
        generators: One generator per seed, for initial parameters and dropout.
        network: Makes a module (B, D) -> (B, O) from ``in_features`` and ``out_features``, drawing its parameters from
            torch's global generator as the layers of ``torch.nn`` do.

    Raises:
        SettingsError: If it makes no module, or one that does not run or has outputs of another shape.
    """

    def __init__(
        self, in_features: int, out_features: int, generators: Sequence[Generator], *, network: Callable[..., Any]
    ) -> None:
        super().__init__()
        rule = "settings with a _target_ that makes a module, and _partial_: true"
        check(None if callable(network) else Problem("network", rule, network))
        networks: list[Any] = []
        self.random_states: list[Tensor] = []
        _check_size(network, in_features, out_features)
        with torch.random.fork_rng(devices=[]):
            for generator in generators:
                torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
                networks.append(_made(network, in_features, out_features))
                self.random_states.append(torch.get_rng_state())
        made = networks[0]
        check(None if isinstance(made, nn.Module) else Problem("network", "a torch.nn.Module", type(made).__name__))
        shared = {name for name, _ in made.named_parameters(remove_duplicate=False)}
        shared -= {name for name, _ in made.named_parameters()}
        rule = "a module none of whose parameters has two names, which torch.func cannot stack"
        check(Problem("network", rule, sorted(shared)) if shared else None)
        self.looped = _draws(made, in_features, out_features)
        self.network = _stacked(networks)
        self.looped = self.looped or not self._can_be_mapped(in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's samples: (S, B, D) -> (S, B, O)."""
        parameters, buffers = dict(self.network.named_parameters()), dict(self.network.named_buffers())
        if not self.looped:
            return vmap(self._one, randomness="error")(parameters, buffers, x)
        outputs = []
        with torch.random.fork_rng(devices=[]):
            for index, samples in enumerate(x):
                torch.set_rng_state(self.random_states[index])
                own, kept = ({name: value[index] for name, value in each.items()} for each in (parameters, buffers))
                outputs.append(self._one(own, kept, samples))
                self.random_states[index] = torch.get_rng_state()
        return torch.stack(outputs)

    def _one(self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Map the samples of one seed: (B, D) -> (B, O)."""
        return functional_call(self.network, {**parameters, **buffers}, (x,))

    def _can_be_mapped(self, in_features: int) -> bool:
        seeds = len(self.random_states)
        try:
            copy.deepcopy(self)(torch.zeros(seeds, _TRIAL_SIZE, in_features))
        except RuntimeError:
            return False
        return True


def _check_size(network: Callable[..., Any], in_features: int, out_features: int) -> None:
    """Check how many weights a network would have, without allocating them.

    Raises:
        SettingsError: If it would have more than the largest perceptron.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            made = network(in_features=in_features, out_features=out_features)
    except (RuntimeError, TypeError, ValueError):
        return  # some networks cannot be made without memory; what is wrong with others is reported when they are made
    weights = sum(value.numel() for value in made.parameters()) if isinstance(made, nn.Module) else 0
    rule = f"a module with at most {MAX_WEIGHTS:,} weights"
    check(Problem("network", rule, f"{type(made).__name__} with {weights:,}") if weights > MAX_WEIGHTS else None)


def _made(network: Callable[..., Any], in_features: int, out_features: int) -> Any:
    """Return a new network.

    Raises:
        SettingsError: If it does not accept its arguments or settings.
    """
    try:
        return network(in_features=in_features, out_features=out_features)
    except (TypeError, ValueError) as error:
        rule = f"made from in_features, out_features and its own settings ({str(error).partition(chr(10))[0]})"
        raise SettingsError(Problem("network", rule, getattr(network, "keywords", {}))) from error


def _draws(network: nn.Module, in_features: int, out_features: int) -> bool:
    """Return whether a network draws random numbers in training, which a copy of it is tried on.

    Raises:
        SettingsError: If it does not run, or its outputs are not (B, O).
    """
    rule = f"a module that maps (B, {in_features}) to (B, {out_features})"
    name = type(network).__name__
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        try:
            outputs = copy.deepcopy(network).train()(torch.zeros(_TRIAL_SIZE, in_features))
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingsError(Problem("network", f"{rule} ({reason})", name)) from error
        drew = not torch.equal(before, torch.get_rng_state())
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    good = shape == (_TRIAL_SIZE, out_features)
    check(None if good else Problem("network", rule, f"{name}, which maps ({_TRIAL_SIZE}, {in_features}) to {shape}"))
    return drew


def _stacked(networks: list[nn.Module]) -> nn.Module:
    """Return the first network with the parameters and buffers of all in place of its own."""
    parameters, buffers = torch.func.stack_module_state(networks)
    for name, value in (parameters | buffers).items():
        path, _, leaf = name.rpartition(".")
        owner = networks[0].get_submodule(path)
        setattr(owner, leaf, nn.Parameter(value.detach()) if name in parameters else value)
    return networks[0]
