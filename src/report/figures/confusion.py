"""The confusion matrices of a study."""

from collections.abc import Mapping
from math import ceil

import pandas as pd
from matplotlib.figure import Figure

from src.analysis.confusion_files import Confusion
from src.plotting.confusion import plot_confusion, side
from src.plotting.style import plain, style, wrapped

_COLUMNS = 4


def confusion_matrices_figure(runs: pd.DataFrame, found: Mapping[str, Confusion]) -> Figure:
    """Return confusion matrices in percent of the true class, one panel per condition.

    Args:
        runs: The completed runs.
        found: The matrices by fingerprint of the condition, at least one.
    """
    conditions = runs[runs["fingerprint"].isin(found)].drop_duplicates("fingerprint")
    columns = min(_COLUMNS, len(conditions))
    rows = ceil(len(conditions) / columns)
    inches = max(side(len(each.names)) for each in found.values())
    lines = max(wrapped(label).count("\n") for label in conditions["label"])
    with style():
        figure = Figure(figsize=((inches + 0.3) * columns, (inches + 0.5 + 0.14 * lines) * rows), layout="compressed")
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for ax, (_, condition) in zip(axes, conditions.iterrows(), strict=False):
            matrix = found[condition["fingerprint"]]
            plot_confusion(ax, matrix.counts, matrix.names, percent=True)
            recall = f"mean recall {100 * matrix.recall.mean():.0f} %"
            ax.set_title(plain(f"{wrapped(condition['label'])}\n{recall}"))
        for ax in axes[len(conditions) :]:
            ax.set_axis_off()
    return figure
