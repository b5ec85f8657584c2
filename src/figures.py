"""The figures of one run: its loss at every step, and its decision regions over the test points."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from src.artifacts import FIGURES
from src.data.datamodule import Split
from src.data.law import Law
from src.evaluation import Predictions, predict
from src.losses.objective import Objective
from src.record import Training
from src.report.plots import Regions, loss_figure, scatter_figure
from src.report.style import save

GRID = 300  # points a side of the picture of the decision regions
MARGIN = 0.05


def loss_curve(folder: Path, training: Training, objective: Objective) -> dict[str, Path]:
    """Draw the loss of every step and return the PNG by its tag; no steps, no curve."""
    if not len(training.step_loss):
        return {}
    steps = len(training.step_loss) // len(training.history)
    figure = loss_figure(training.step_loss, window=steps, floor=getattr(objective, "floor", None))
    return {"figures/loss": save(figure, folder / FIGURES / "loss", ("png",))[0]}


def scatter(
    folder: Path,
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    law: Law,
    test: Split,
    predictions: Predictions,
    metrics: dict[str, float],
) -> dict[str, Path]:
    """Draw the test points of one seed over its decision regions and return the PNG by its tag; two features only."""
    if law.features != 2:
        return {}
    x, target = test.x[0], test.target[0]
    low, high = x.min(0).values, x.max(0).values
    pad = MARGIN * (high - low)
    x1, x2 = (torch.linspace(*ends, GRID) for ends in zip((low - pad).tolist(), (high + pad).tolist(), strict=True))
    grid = torch.stack(torch.meshgrid(x1, x2, indexing="xy"), dim=-1)  # (GRID, GRID, 2)
    labels = predict(network(grid.flatten(0, 1)), objective).preds.view(GRID, GRID)
    regions = Regions(x1.numpy(), x2.numpy(), labels.numpy(), law.bayes_rule(grid).numpy())
    curve = getattr(law, "curve", None)
    figure = scatter_figure(
        x.numpy(),
        target.numpy(),
        predictions.preds.numpy(),
        classes=law.classes,
        regions=regions,
        curve=None if curve is None else (x1.numpy(), curve(x1).numpy()),
        title=(
            f"{metrics['test/correct']}/{metrics['test/count']} = {metrics['test/accuracy']:.2f}, "
            f"population {metrics['population/accuracy']:.3f}, Bayes {metrics['bayes/accuracy']:.3f}"
        ),
    )
    return {"figures/scatter": save(figure, folder / FIGURES / "scatter", ("png",))[0]}
