"""Selection of the engine that trains a network."""

from torch import nn
from torch.optim import Optimizer

from src.engines.autograd import AutogradEngine
from src.engines.base import Engine, output_gradient
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.engine import NativeEngine, obstacle
from src.losses.base import Objective
from src.utils.validation import Problem, check

ENGINES = ("auto", "native", "torch")


def select_engine(
    network: nn.Module,
    objective: Objective,
    flat: FlatParameters,
    optimizer: Optimizer,
    *,
    wanted: str = "auto",
    mixed: bool = False,
) -> Engine:
    """Return the fastest engine for a network, an objective and an optimizer.

    Args:
        network: The network; one with an attribute ``layers`` is a stack of affine layers and activations.
        objective: Loss and decision rule.
        flat: The network's parameters.
        optimizer: The optimizer of ``flat.values``.
        wanted: ``native`` to insist on the native kernel, ``torch`` to do without it, ``auto`` to use it where it can
            be used.
        mixed: Whether the trainer casts single operations to a lower precision, which only autograd knows how to do.

    Raises:
        SettingsError: If the native kernel is insisted on and cannot be used.
    """
    layers = None if mixed else getattr(network, "layers", None)
    if layers is None:
        check(_insisted(wanted, "has only affine layers and activations, all in one precision"))
        return AutogradEngine(network, objective, flat, optimizer)
    reason = "is not wanted" if wanted == "torch" else obstacle(layers, flat.values, optimizer)
    if reason is None:
        return NativeEngine(layers, output_gradient(objective), flat, optimizer)
    check(_insisted(wanted, reason))
    return LayerwiseEngine(layers, objective, flat, optimizer)


def _insisted(wanted: str, obstacle: str) -> Problem | None:
    return Problem("engine", f"auto or torch, as the native kernel {obstacle}", wanted) if wanted == "native" else None
