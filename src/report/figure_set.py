"""Figures of a study."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from src.analysis.collapse import collapsed_runs
from src.analysis.collect import Progress, without_progress
from src.analysis.confusion_files import read_confusion
from src.analysis.findings import REGRET, Findings
from src.analysis.reliability_bins import read_reliability
from src.analysis.run_files import read_curves, read_predictions, read_regions
from src.analysis.summary import ACCURACIES, median_run
from src.report.figures.collapse import CollapsedSeeds, Curve, collapse_figure, collapse_map_figure, dead_unit_columns
from src.report.figures.comparison import Panel, accuracy_figure, loss_curves_figure, scatter_comparison_figure
from src.report.figures.confusion import confusion_matrices_figure
from src.report.figures.differences import forest_figure
from src.report.figures.profiles import profiles_figure
from src.report.figures.ranks import ranks_figure
from src.report.figures.regret import regret_figure
from src.report.figures.reliability import CALIBRATION, calibration_figure, reliability_figure
from src.report.figures.sample_size import sample_size_figure
from src.report.figures.variance import variance_bars, variance_figure
from src.storage.many_runs import may_have_file
from src.storage.schema import HISTORY, REGIONS, ArtifactError, exists, read_table

FIGURES = (
    *("accuracy", "differences", "profiles", "ranks", "regret", "sample_size", "loss_curves", "scatter", "reliability"),
    *("confusion", "calibration", "variance", "collapse", "collapse_map"),
)
_MAX_LABELS = 60  # legible panels in one figure
_MAX_COLLAPSED = 4  # conditions in the figure of collapsed seeds
_MAX_CURVES = 8  # collapsed seeds of one of them
_PANELS = ("loss_curves", "scatter", "reliability", "confusion")


@dataclass(frozen=True)
class StudyFigures:
    """Figures by file name, None for one that cannot be drawn, and one line for each omission."""

    figures: dict[str, Figure | None]
    problems: list[str] = field(default_factory=list)


def study_figures(findings: Findings, progress: Progress = without_progress) -> StudyFigures:
    """Read what the figures need and draw them.

    Args:
        findings: The findings of the study.
        progress: Wraps the folders that are read, to show a progress bar.
    """
    runs, alpha, replicate = findings.collection.completed, findings.plan.alpha, findings.replicate
    figures: dict[str, Figure | None] = dict.fromkeys(FIGURES)
    problems: list[str] = []
    if _has(runs, *ACCURACIES):
        figures["accuracy"] = accuracy_figure(runs, alpha, replicate)
    else:
        problems.append("accuracy: no run has an accuracy")
    if len(findings.comparisons):
        figures["differences"] = forest_figure(findings.comparisons, findings.plan)
    figures["profiles"] = profiles_figure(runs, findings.metric, alpha, replicate)
    figures["ranks"] = ranks_figure(runs, findings.metric, alpha)
    if _has(runs, REGRET):
        figures["regret"] = regret_figure(runs, alpha, replicate)
        figures["sample_size"] = sample_size_figure(runs, alpha, replicate)
    if _has(runs, CALIBRATION):
        figures["calibration"] = calibration_figure(runs, alpha, replicate)
    if bars := variance_bars(findings.variance):
        figures["variance"] = variance_figure(bars)
    figures["collapse_map"] = collapse_map_figure(runs)
    collapsed, unread = _collapsed_seeds(runs, findings.metric)
    figures["collapse"] = collapse_figure(collapsed) if collapsed else None
    problems += unread
    labels = runs["label"].nunique()
    if labels > _MAX_LABELS:
        names = f"{', '.join(_PANELS[:-1])} and {_PANELS[-1]}"
        problems.append(f"{names}: {labels} labels, expected at most {_MAX_LABELS}")
        return StudyFigures(figures, problems)
    curves, unread = read_curves(runs, progress)
    predicted = findings.collection.predicted
    bins, unknown = read_reliability(predicted, progress)
    confusion, damaged = read_confusion(runs)
    panels, unplaced = _panels(predicted, findings.metric)
    figures["loss_curves"] = loss_curves_figure(runs, curves) if curves else None
    figures["reliability"] = reliability_figure(runs, bins) if bins else None
    figures["confusion"] = confusion_matrices_figure(runs, confusion) if confusion else None
    figures["scatter"] = scatter_comparison_figure(panels) if panels else None
    return StudyFigures(figures, list(dict.fromkeys([*problems, *unread, *unknown, *damaged, *unplaced])))


def _has(runs: pd.DataFrame, *metrics: str) -> bool:
    return any(runs[name].notna().any() for name in metrics if name in runs.columns)


def _collapsed_seeds(runs: pd.DataFrame, metric: str) -> tuple[list[CollapsedSeeds], list[str]]:
    """Read the training accuracy of collapsed seeds and of the median other seed, by condition; the most first."""
    collapse, problems = collapsed_runs(runs), []
    counts = collapse.groupby(runs["fingerprint"], sort=False).sum().sort_values(ascending=False, kind="stable")
    found = []
    for fingerprint in counts[counts > 0].index[:_MAX_COLLAPSED]:
        group = runs[runs["fingerprint"] == fingerprint]
        hollow, normal = group[collapse[group.index] == 1], group[collapse[group.index] == 0]
        shown = [*hollow["folder"][:_MAX_CURVES], *([] if normal.empty else [median_run(normal, metric)["folder"]])]
        curves = {}
        for folder in shown:
            try:
                table = read_table(Path(folder) / HISTORY, ("epoch", "train/accuracy"))
                curves[folder] = Curve(table["epoch"].to_numpy(), table["train/accuracy"].to_numpy(dtype=float))
            except (ArtifactError, ValueError) as error:
                problems.append(str(error))
        units = dead_unit_columns(group)
        title = f"{group['label'].iloc[0]}, {group['classes'].iloc[0]} classes: {len(hollow)} of {len(group)} collapsed"
        mine = [curves[folder] for folder in hollow["folder"] if folder in curves]
        beside = None if normal.empty else curves.get(shown[-1])
        dead, alive = (each[units].dropna(axis=1, how="all").to_numpy(dtype=float) for each in (hollow, normal))
        found.append(CollapsedSeeds(title, mine, beside, dead, alive))
    return found, problems


def _panels(runs: pd.DataFrame, metric: str) -> tuple[list[Panel], list[str]]:
    """Read the test samples of the median run of each condition, and list those that cannot be drawn.

    Where some runs have saved decision regions, it is the median of these.
    """
    panels, problems = [], []
    for _, group in runs.groupby("fingerprint", sort=False):
        saved = group[may_have_file(list(group["folder"]), REGIONS)]
        saved = saved[[exists(Path(folder) / REGIONS) for folder in saved["folder"]]]
        run = median_run(group if saved.empty else saved, metric)
        try:
            predictions = read_predictions(run)
        except ArtifactError as error:
            known = not saved.empty or pd.notna(run.get("bayes/accuracy"))
            problems += [str(error)] * known  # tables have other features than x1 and x2
            continue
        try:
            regions = None if saved.empty else read_regions(run)
        except ArtifactError as error:
            regions = None
            problems.append(str(error))
        population = run.get("population/accuracy")
        known = None if population is None or pd.isna(population) else float(population)
        panels.append(Panel(run["label"], run["classes"], predictions, _name(run), known, regions))
    return panels, problems


def _name(run: pd.Series) -> int | str:
    """Return the seed, or the seeds of the streams that do not follow it."""
    pins = Path(run["folder"]).name.split(",")[1:]
    return ", ".join(pin.replace("=", " ") for pin in pins) or int(run["seed"])
