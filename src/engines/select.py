"""Selection of the engine that trains a network."""

from dataclasses import replace

from torch import nn
from torch.optim import Optimizer

from src.engines.autograd import AutogradEngine
from src.engines.base import NO_RULES, Engine, StepRules
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.engine import NativeEngine, unsupported_reason
from src.losses.base import Objective
from src.utils.validation import Problem, check


def select_engine(
    network: nn.Module,
    objective: Objective,
    flat: FlatParameters,
    optimizer: Optimizer,
    *,
    requested: str = "auto",
    mixed: bool = False,
    rules: StepRules = NO_RULES,
) -> Engine:
    """Return the fastest engine for a network, an objective and an optimizer.

    Args:
        network: The network; one with an attribute ``layers`` is a stack of affine layers and activations.
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
        requested: ``native`` to require the native engine, ``torch`` to exclude it, ``auto`` to use it if it can be.
        rules: What happens before and after a step, which the native engine does not let out of its kernel.
        mixed: Whether the trainer casts single operations to a lower precision, which only autograd supports.

    Raises:
        SettingsError: If the native engine is required and cannot be used.
    """
    layers = None if mixed else getattr(network, "layers", None)
    if requested == "torch":
        reason: str | None = "is excluded"
    elif replace(rules, scale=False) != NO_RULES:
        reason = "neither clips nor accumulates gradients, nor averages weights"
    elif layers is None:
        reason = "has only affine layers and activations, all in one precision"
    else:
        reason = unsupported_reason(layers, flat.values, optimizer)
    if requested == "native" and reason is not None:
        check(Problem("engine", f"auto or torch, as the native kernel {reason}", requested))
    if layers is None:
        return AutogradEngine(network, objective, flat, optimizer, rules)
    if reason is None:
        return NativeEngine(layers, objective, flat, optimizer, scale=rules.scale)
    return LayerwiseEngine(layers, objective, flat, optimizer, rules)
