"""Entropy, cross-entropy and Kullback-Leibler divergence of distributions over the last axis."""

import math
from typing import Any

import torch
from torch import Tensor

from src.utils import validation
from src.utils.validation import Problem

_TOLERANCE = 1e-5  # of the sum of probabilities in single precision


def entropy(p: Tensor, *, base: float = math.e, check: bool = True) -> Tensor:
    r"""Return H(p) = -\sum_i p_i \log p_i, with 0 \log 0 = 0.

    Args:
        p: Probabilities (..., C).
        base: Of the logarithm: 2 for bits, e for nats.
        check: Whether to check that p is a distribution.

    Returns:
        (...), in double precision.

    Raises:
        SettingsError: If the base is neither 2 nor e, or an entry is negative or the sum is not 1.

    Example:
        >>> f"{entropy(torch.tensor([0.75, 0.25]), base=2):.2f} bits"  # the slides' 0.81
        '0.81 bits'
    """
    return cross_entropy(p, p, base=base, check=check)


def cross_entropy(p: Tensor, q: Tensor, *, base: float = math.e, check: bool = True) -> Tensor:
    r"""Return H(p, q) = -\sum_i p_i \log q_i, with 0 \log 0 = 0; infinite where q_i = 0 < p_i.

    Args:
        p: True probabilities (..., C).
        q: Predicted probabilities (..., C); leading axes broadcast.
        base: Of the logarithm: 2 for bits, e for nats.
        check: Whether to check that p and q are distributions.

    Returns:
        (...), in double precision.

    Raises:
        SettingsError: If the base is neither 2 nor e, the last axes differ, or an entry is negative or a sum is not 1.

    Example:
        >>> p = torch.tensor([0, 0, 0, 0, 1.0, 0, 0])
        >>> q = torch.tensor([0.02, 0.30, 0.45, 0, 0.25, 0.05, 0])  # the slides' table, which sums to 1.07
        >>> f"{cross_entropy(p, q, check=False):.3f}"
        '1.386'
        >>> cross_entropy(p, q)
        Traceback (most recent call last):
        ...
        src.utils.validation.SettingsError: Expected `q` to be probabilities that sum to 1, got "a sum of 1.07".
    """
    alone = q is p  # as for the entropy, whose argument has one name
    p, q = p.double(), q.double()
    validation.check(
        None if base in (2, math.e) else Problem("base", "2 or e", base),
        None if p.shape[-1:] == q.shape[-1:] else Problem("q", "as long as p", [*q.shape]),
        _distribution("p", p) if check else None,
        _distribution("q", q) if check and not alone else None,
    )
    return 0 - torch.special.xlogy(p, q).sum(-1) / math.log(base)  # where 0 is 0, not -0


def kl_divergence(p: Tensor, q: Tensor, *, base: float = math.e, check: bool = True) -> Tensor:
    r"""Return KL(p || q) = \sum_i p_i \log(p_i / q_i) = H(p, q) - H(p).

    Args:
        p: True probabilities (..., C).
        q: Predicted probabilities (..., C); leading axes broadcast.
        base: Of the logarithm: 2 for bits, e for nats.
        check: Whether to check that p and q are distributions.

    Returns:
        (...), in double precision; at least 0 for distributions, up to rounding.

    Raises:
        SettingsError: As ``cross_entropy`` does.

    Example:
        >>> kl_divergence(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]), base=2)  # 1 - log2(3) / 2
        tensor(0.2075, dtype=torch.float64)
    """
    return cross_entropy(p, q, base=base, check=check) - entropy(p, base=base, check=check)


def _distribution(name: str, values: Tensor) -> Problem | None:
    """Return a problem unless the last axis holds distributions."""
    if not bool((values >= 0).all()):  # NaN is not
        shown: Any = values.min().item()
        return Problem(name, "probabilities of at least 0", str(shown) if math.isnan(shown) else shown)
    total = values.sum(-1)
    off = total.flatten()[(total - 1).abs().argmax()].item() if total.numel() else 1.0
    return None if abs(off - 1) <= _TOLERANCE else Problem(name, "probabilities that sum to 1", f"a sum of {off:g}")
