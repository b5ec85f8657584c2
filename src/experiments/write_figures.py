"""Figures and decision regions of one trained seed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from src.config.instantiate import Components
from src.data.datamodule import Split
from src.data.protocols import DataSource, Distribution
from src.experiments.run_folder import RunFolder
from src.losses.base import Objective
from src.metrics.predictions import predict, seed_network, seed_state
from src.plotting.run_figures import Regions, loss_figure, scatter_figure
from src.plotting.style import save
from src.storage.schema import CONFUSION, FIGURES, REGIONS
from src.storage.spreadsheet import escape_formulas
from src.training.history import Training

FIGURE_RESOLUTION = 400  # grid points per axis
FILE_RESOLUTION = 64
MOVIE_RESOLUTION = 150
MARGIN = 0.05
MAX_SAMPLES = 5000  # in one scatter plot, where more would hide each other


def write_loss_curve(folder: Path, training: Training, objective: Objective) -> dict[str, Path]:
    """Draw the loss of every step and return the PNG by its tag, or nothing where there were no steps."""
    if not len(training.step_loss):
        return {}
    steps = len(training.step_loss) // len(training.history)
    figure = loss_figure(training.step_loss, window=steps, floor=getattr(objective, "floor", None))
    return {"figures/loss": save(figure, folder / FIGURES / "loss", ("png",))[0]}


def decision_regions(
    network: Callable[[Tensor], Tensor], objective: Objective, distribution: Distribution, test: Split, resolution: int
) -> Regions:
    """Return the predicted and the Bayes-optimal classes on a grid around one seed's test samples."""
    low, high = test.x[0].min(0).values, test.x[0].max(0).values
    pad = MARGIN * (high - low)
    ends = zip((low - pad).tolist(), (high + pad).tolist(), strict=True)
    x1, x2 = (torch.linspace(start, stop, resolution) for start, stop in ends)
    grid = torch.stack(torch.meshgrid(x1, x2, indexing="xy"), dim=-1)  # (resolution, resolution, 2)
    labels = objective.decode(network(grid.flatten(0, 1))[None]).view(resolution, resolution)
    return Regions(x1.numpy(), x2.numpy(), labels.numpy(), distribution.bayes_rule(grid).numpy())


def write_regions(
    files: RunFolder, network: Callable[[Tensor], Tensor], objective: Objective, distribution: DataSource, test: Split
) -> None:
    """Write ``regions.csv``, one row per grid point, for a known distribution of two features."""
    if distribution.features != 2 or not isinstance(distribution, Distribution):
        return
    regions = decision_regions(network, objective, distribution, test, FILE_RESOLUTION)
    x1, x2 = np.meshgrid(regions.x1, regions.x2)
    columns = {"x1": x1, "x2": x2, "pred": regions.pred, "bayes": regions.bayes}
    files.write_numbers(REGIONS, [{name: values.ravel() for name, values in columns.items()}])


def write_scatter(
    folder: Path,
    network: Callable[[Tensor], Tensor],
    objective: Objective,
    distribution: DataSource,
    test: Split,
    metrics: dict[str, float],
) -> dict[str, Path]:
    """Draw one seed's test samples over its decision regions and return the PNG by its tag."""
    if distribution.features != 2 or not isinstance(distribution, Distribution):
        return {}
    x, target = test.x[0, :MAX_SAMPLES], test.target[0, :MAX_SAMPLES]
    regions = decision_regions(network, objective, distribution, test, FIGURE_RESOLUTION)
    curve = getattr(distribution, "curve", None)
    figure = scatter_figure(
        x.numpy(),
        target.numpy(),
        predict(network(x), objective).preds.numpy(),
        classes=distribution.classes,
        regions=regions,
        curve=None if curve is None else (regions.x1, curve(torch.from_numpy(regions.x1)).numpy()),
        title=(
            f"{metrics['test/correct']}/{metrics['test/count']} = {metrics['test/accuracy']:.2f}, "
            f"population {metrics['population/accuracy']:.3f}, Bayes {metrics['bayes/accuracy']:.3f}"
        ),
    )
    return {"figures/scatter": save(figure, folder / FIGURES / "scatter", ("png",))[0]}


def write_movie(
    folder: Path,
    title: str,
    components: Components,
    index: int,
    training: Training,
    states: Mapping[int, dict[str, Tensor]],
) -> dict[int, bytes]:
    """Write ``movie.gif`` and ``movie.html``: the decision regions and the loss of one seed over the epochs.

    The last frame has the weights that the seed is left with, which may be those of its best epoch or an average.

    Args:
        folder: The directory of the seed.
        title: Heading of the page.
        components: Data, objective and network of the stack, whose distribution is known and has two features.
        index: Index of the seed in the stack, in [0, S).
        training: The curves of the seed.
        states: The states of its network by the number of finished epochs; those after its last epoch are left out.

    Returns:
        The frames as PNG, by the number of finished epochs.
    """
    # Jinja2 takes time to import, and few runs have a movie.
    from src.plotting.movie import frame, png, write_gif, write_page

    data, objective = components.datamodule, components.objective
    distribution, test = cast(Distribution, data.source), data.test[index : index + 1]
    x, target = test.x[0, :MAX_SAMPLES], test.target[0, :MAX_SAMPLES]
    history = training.history
    curves = {name: history[name].to_numpy() for name in ("train/loss", "val/loss") if name in history}
    curve = getattr(distribution, "curve", None)
    frames = {}
    last = len(history)
    shown = {epoch: state for epoch, state in states.items() if epoch < last}
    shown[last] = seed_state(components.network, index)
    for epoch, state in shown.items():
        network = seed_network(components.network, index, state)
        regions = decision_regions(network, objective, distribution, test, MOVIE_RESOLUTION)
        preds = predict(network(x), objective).preds
        frames[epoch] = frame(
            curves,
            epoch,
            distribution.classes,
            x=x.numpy(),
            target=target.numpy(),
            pred=preds.numpy(),
            regions=regions,
            curve=None if curve is None else (regions.x1, curve(torch.from_numpy(regions.x1)).numpy()),
            title=f"{int((preds == target).sum())}/{len(target)} test samples are right",
        )
    (folder / FIGURES).mkdir(exist_ok=True)
    write_gif(folder / FIGURES / "movie.gif", frames)
    pictures = {epoch: png(image) for epoch, image in frames.items()}
    write_page(folder / FIGURES / "movie.html", f"{title}, seed {data.streams[index].seed}", pictures)
    return pictures


def write_confusion(folder: Path, preds: Tensor, target: Tensor, names: Sequence[Any], draws: bool) -> dict[str, Path]:
    """Write ``confusion.csv``, a row per true class and a column per decided one, and return the PNG by its tag.

    Args:
        folder: The directory of the seed.
        preds: The decided classes of the test samples, (N,).
        target: Their true classes, (N,).
        names: The label of each class, (C,).
        draws: Whether the figure is drawn.
    """
    from src.metrics.class_metrics import confusion  # with scikit-learn, whose import takes a second
    from src.plotting.confusion import confusion_figure

    counts = confusion(preds, target, len(names))
    table = pd.DataFrame(counts, columns=list(names))
    table.insert(0, "target", list(names), allow_duplicates=True)
    escape_formulas(table).to_csv(folder / CONFUSION, index=False)
    if not draws:
        return {}
    title = f"{int(counts.trace())}/{int(counts.sum())} test samples are right"
    figure = confusion_figure(counts, names, title=title)
    return {"figures/confusion": save(figure, folder / FIGURES / "confusion", ("png",))[0]}
