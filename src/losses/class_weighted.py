"""Class weights for any objective whose loss is a mean over samples."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from src.losses.base import Objective


class ClassWeighted:
    r"""An objective whose loss weighs each sample by its class: the mean over B of w(target) times the sample's loss.

    The weights are those of scikit-learn's ``class_weight``: with ``balanced``, n / (C n_k) for n training samples of
    which n_k are of class k, so that they have a mean of 1 over the samples. All else is the objective's own.

    Args:
        objective: The objective. CORN averages over pairs of a sample and a logit; here over the pairs of each sample.
        weights: Returns the weights of each seed, (S, C).
    """

    def __init__(self, objective: Objective, weights: Callable[[], Tensor]) -> None:
        self._objective = objective
        self._weights = weights

    def __getattr__(self, name: str) -> Any:
        if name == "_objective":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._objective, name)

    def of_seeds(self, seeds: slice | Tensor) -> "ClassWeighted":
        """Return the objective of some of the seeds."""
        return type(self)(self._objective, lambda: self._weights()[seeds])

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean loss over the samples of each seed: (S, B, O), (S, B) -> (S,)."""
        single = self._objective.loss(outputs.flatten(0, 1)[:, None], target.flatten()[:, None])  # (S * B,)
        return (single.view(target.shape) * self._of(target)).mean(-1)

    def _of(self, target: Tensor) -> Tensor:
        """Return the weight of each sample: (S, B), or (steps * S, B) for several steps, -> the same."""
        weights = self._weights().to(target.device)
        seeds = torch.arange(len(target), device=target.device) % len(weights)
        return weights[seeds[:, None], target]


class ClassWeightedInClosedForm(ClassWeighted):
    """A class-weighted objective that has its gradient in closed form, as the objective itself has."""

    def gradient(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the gradient of the seeds' summed loss: (S, B, O), (S, B) -> (S, B, O)."""
        own: Any = self._objective
        single = own.gradient(outputs.flatten(0, 1)[:, None], target.flatten()[:, None]).view_as(outputs)
        return single * (self._of(target) / target.shape[1])[..., None]


def class_weighted(objective: Objective, weights: Callable[[], Tensor]) -> Objective:
    """Return an objective with class weights; see ``ClassWeighted``."""
    kind = ClassWeightedInClosedForm if hasattr(objective, "gradient") else ClassWeighted
    return kind(objective, weights)
