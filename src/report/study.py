"""The comparison figures of a study, and why any of them cannot be drawn."""

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from src.analysis.collect import Progress
from src.analysis.details import read_curves, read_predictions
from src.analysis.summary import ACCURACIES, median_run
from src.artifacts import ArtifactError
from src.report.comparison import Panel, accuracy_figure, loss_curves_figure, scatter_comparison_figure

_MOST_LABELS = 60  # in a figure of a panel a label; more could not be read


@dataclass(frozen=True)
class StudyFigures:
    """Figures by the name of their files, None for one that cannot be drawn, and a line for each thing left out."""

    figures: dict[str, Figure | None]
    problems: list[str] = field(default_factory=list)


def study_figures(runs: pd.DataFrame, metric: str, progress: Progress) -> StudyFigures:
    """Read what the figures need and draw them.

    Args:
        runs: The completed runs, at least one, as ``Collection.completed`` has them.
        metric: Metric that chooses the seed of each scatter plot, the median one.
        progress: Wraps the folders that are being read, to show how far it is.
    """
    problems: list[str] = []
    accuracy = None
    if any(runs[name].notna().any() for name in ACCURACIES if name in runs.columns):
        accuracy = accuracy_figure(runs)
    else:
        problems.append("accuracy: no run has an accuracy")
    labels = runs["label"].nunique()
    if labels > _MOST_LABELS:
        problems.append(f"loss_curves and scatter: {labels} labels, more than the {_MOST_LABELS} that can be read")
        return StudyFigures({"accuracy": accuracy, "loss_curves": None, "scatter": None}, problems)
    curves, unread = read_curves(runs, progress)
    panels, unplaced = _panels(runs, metric)
    figures = {
        "accuracy": accuracy,
        "loss_curves": loss_curves_figure(runs, curves) if curves else None,
        "scatter": scatter_comparison_figure(panels) if panels else None,
    }
    return StudyFigures(figures, [*problems, *unread, *unplaced])


def _panels(runs: pd.DataFrame, metric: str) -> tuple[list[Panel], list[str]]:
    """Read the test points of each condition's median seed, and note those that cannot be drawn."""
    panels, problems = [], []
    for _, group in runs.groupby("fingerprint", sort=False):
        run = median_run(group, metric)
        try:
            predictions = read_predictions(run)
        except ArtifactError as error:
            problems.append(str(error))
            continue
        population = run.get("population/accuracy")
        known = None if population is None or pd.isna(population) else float(population)
        panels.append(Panel(run["label"], run["classes"], predictions, run["seed"], known))
    return panels, problems
