"""Log odds of a linear classifier, as metrics of a run."""

import torch
import torch.nn.functional as F
from torch import nn

from src.losses.base import Objective
from src.models.base import Affine


def log_odds(network: nn.Module, objective: Objective, index: int) -> dict[str, float]:
    r"""Return w and b of each class but the first: ln P(class k | x) / P(class 0 | x) = w_k . x + b_k.

    They do not depend on the parametrisation: one logit for two classes, C logits, or the moments of normal classes
    with a shared covariance.

    Args:
        network: S networks.
        objective: Their objective.
        index: Index of the network in the stack.

    Returns:
        ``log_odds/k/b``, ``log_odds/k/w1``, ... for each class k from 1; nothing where the network is not affine, or
        the probabilities are not the sigmoid of its one output or the softmax of its C outputs.
    """
    if not isinstance(network, Affine):
        return {}
    weight, bias = (each.detach()[index].cpu().double() for each in network.linear())  # (D, O), (O,)
    outputs = torch.cat([bias[None], bias + weight])[None]  # (1, D + 1, O), at the origin and one step along each axis
    if len(bias) == 1:
        weight, bias = F.pad(weight, (1, 0)), F.pad(bias, (1, 0))
    logits = torch.cat([bias[None], bias + weight])[None]
    probabilities = objective.probabilities(outputs)
    if probabilities is None or not torch.allclose(probabilities, logits.softmax(-1)):
        return {}
    named = {}
    for label in range(1, len(bias)):
        named[f"log_odds/{label}/b"] = (bias[label] - bias[0]).item()
        slopes = (weight[:, label] - weight[:, 0]).tolist()
        named |= {f"log_odds/{label}/w{feature}": slope for feature, slope in enumerate(slopes, start=1)}
    return named
