"""The figures of one run: its loss at every step, and its decision regions over the test points."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from src.data.datamodule import Split
from src.data.protocols import DataSource, Distribution
from src.losses.base import Objective
from src.metrics.predictions import predict
from src.plotting.regions import Regions, loss_figure, scatter_figure
from src.plotting.style import save
from src.storage.schema import FIGURES, REGIONS
from src.training.history import Training

DRAWN = 400  # points a side of the decision regions in a picture
STORED = 64  # and in the file, from which the report draws any seed
MARGIN = 0.05
MOST = 5000  # test points in a picture, the first of a split, which has no order; more would hide each other


def loss_curve(folder: Path, training: Training, objective: Objective) -> dict[str, Path]:
    """Draw the loss of every step and return the PNG by its tag; no steps, no curve."""
    if not len(training.step_loss):
        return {}
    steps = len(training.step_loss) // len(training.history)
    figure = loss_figure(training.step_loss, window=steps, floor=getattr(objective, "floor", None))
    return {"figures/loss": save(figure, folder / FIGURES / "loss", ("png",))[0]}


def regions(
    network: Callable[[Tensor], Tensor], objective: Objective, distribution: Distribution, test: Split, side: int
) -> Regions:
    """Return a network's decision regions around the test points of its seed, (side, side)."""
    low, high = test.x[0].min(0).values, test.x[0].max(0).values
    pad = MARGIN * (high - low)
    x1, x2 = (torch.linspace(*ends, side) for ends in zip((low - pad).tolist(), (high + pad).tolist(), strict=True))
    grid = torch.stack(torch.meshgrid(x1, x2, indexing="xy"), dim=-1)  # (side, side, 2)
    labels = predict(network(grid.flatten(0, 1)), objective).preds.view(side, side)
    return Regions(x1.numpy(), x2.numpy(), labels.numpy(), distribution.bayes_rule(grid).numpy())


def write_regions(
    folder: Path, network: Callable[[Tensor], Tensor], objective: Objective, distribution: DataSource, test: Split
) -> None:
    """Write ``regions.csv``: a row a grid point with x1, x2, pred and bayes; for distributions of two features."""
    if distribution.features != 2 or not isinstance(distribution, Distribution):
        return
    stored = regions(network, objective, distribution, test, STORED)
    x1, x2 = np.meshgrid(stored.x1, stored.x2)
    columns = {"x1": x1, "x2": x2, "pred": stored.pred, "bayes": stored.bayes}
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    table.to_csv(folder / REGIONS, index=False)


def scatter(
    folder: Path,
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    distribution: DataSource,
    test: Split,
    metrics: dict[str, float],
) -> dict[str, Path]:
    """Draw the test points of one seed over its decision regions and return the PNG by its tag; two features."""
    if distribution.features != 2 or not isinstance(distribution, Distribution):
        return {}
    x, target = test.x[0, :MOST], test.target[0, :MOST]
    drawn = regions(network, objective, distribution, test, DRAWN)
    curve = getattr(distribution, "curve", None)
    figure = scatter_figure(
        x.numpy(),
        target.numpy(),
        predict(network(x), objective).preds.numpy(),
        classes=distribution.classes,
        regions=drawn,
        curve=None if curve is None else (drawn.x1, curve(torch.from_numpy(drawn.x1)).numpy()),
        title=(
            f"{metrics['test/correct']}/{metrics['test/count']} = {metrics['test/accuracy']:.2f}, "
            f"population {metrics['population/accuracy']:.3f}, Bayes {metrics['bayes/accuracy']:.3f}"
        ),
    )
    return {"figures/scatter": save(figure, folder / FIGURES / "scatter", ("png",))[0]}
