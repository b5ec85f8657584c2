"""Loss surfaces of cross-entropy and squared error for one logistic unit."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.mse_sigmoid import SigmoidMeanSquaredError
from src.plotting.style import save
from src.plotting.surfaces import Surface, distance_figure, surfaces_figure

POINTS = [(-3.5, 0), (-2.5, 0), (-1.5, 0), (-0.5, 1), (0.5, 0), (1.5, 1), (2.5, 1), (3.5, 1)]  # x and label
DISTANCES = np.linspace(0, 12, 25)


def unit(objective: Objective, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return loss (K,) and gradient (K, 2) of logistic units with weights (K,) and biases (K,), as K seeds."""
    x, target = torch.tensor([x for x, _ in POINTS], dtype=torch.float64), torch.tensor([y for _, y in POINTS])
    parameters = torch.stack([w, b], 1).requires_grad_()  # (K, 2)
    outputs = (parameters[:, :1] * x + parameters[:, 1:])[..., None]  # (K, N, 1)
    loss = objective.loss(outputs, target.expand(len(w), -1))
    (gradient,) = torch.autograd.grad(loss.sum(), parameters)
    return loss.detach(), gradient


def surface(objective: Objective, side: int = 101, limit: float = 12.0) -> Surface:
    """Return the loss of a logistic unit over a square of (w, b)."""
    axis = torch.linspace(-limit, limit, side, dtype=torch.float64)
    b, w = torch.meshgrid(axis, axis, indexing="ij")
    loss, gradient = unit(objective, w.flatten(), b.flatten())
    return Surface(axis.numpy(), axis.numpy(), loss.view(side, side).numpy(), gradient.view(side, side, 2).numpy())


def draw(out: Path) -> list[Path]:
    """Draw both losses of a logistic unit, and their gradients far from the optimum, and return the files."""
    objectives: dict[str, Objective] = {
        "cross-entropy": BinaryCrossEntropy(2),
        "squared error": SigmoidMeanSquaredError(2),
    }
    surfaces = {name: surface(objective) for name, objective in objectives.items()}
    norms = {}
    for name, objective in objectives.items():
        w, b = surfaces[name].lowest
        away = w - torch.from_numpy(DISTANCES) * math.copysign(1, w)
        norms[name] = unit(objective, away, torch.full_like(away, b))[1].norm(dim=1).tolist()
    files = save(surfaces_figure(surfaces), out / "surfaces")
    return files + save(distance_figure(DISTANCES, norms), out / "gradient_norm")
