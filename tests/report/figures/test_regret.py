import numpy as np
import pytest
from matplotlib.figure import Figure

from src.analysis.replicate import Replicate
from src.report.figures.regret import Line, plot_regret, plot_regret_rows, regret_figure
from src.statistics.intervals import mean_interval
from tests.analysis.studies import make_runs
from tests.plotting.legible import assert_legible


def test_means_and_intervals_stand_side_by_side_at_each_class_count():
    rng = np.random.default_rng(0)
    values = [{2: rng.normal(3, 1, 9), 4: rng.normal(5, 1, 9)}, {4: rng.normal(2, 1, 9)}]
    lines = [Line("ce", {classes: mean_interval(each[classes], 0.9) for classes in each}) for each in values]
    ax = Figure().subplots()
    assert plot_regret(ax, lines) is ax
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "4"]
    markers = [line for line in ax.lines if line.get_marker() not in ("None", None)]
    expected = [[sample.mean() for sample in each.values()] for each in values]
    for marker, means in zip(markers, expected, strict=True):
        np.testing.assert_allclose(marker.get_ydata(), means)
    _, low, high = mean_interval(values[1][4], 0.9)
    np.testing.assert_allclose(ax.collections[1].get_segments()[0][:, 1], [low, high])
    assert markers[0].get_xdata()[1] < 1 < markers[1].get_xdata()[0]


@pytest.mark.parametrize(("losses", "name"), [(1, "ce"), (16, "loss"), (3, "$a_b$ " * 30)])
def test_few_many_and_long_names_stay_legible(losses: int, name: str):
    rng = np.random.default_rng(0)
    runs = make_runs(
        {(f"{name}{index}", classes): rng.normal(0.7, 0.02, 5) for index in range(losses) for classes in (2, 4)}
    )
    figure = regret_figure(runs, 0.05, Replicate())
    assert_legible(figure)
    assert sum(ax.get_window_extent().width for ax in figure.axes) > 0.35 * figure.bbox.width


def test_many_losses_have_a_row_each_and_class_counts_side_by_side():
    rng = np.random.default_rng(0)
    values = [{classes: rng.normal(3, 1, 9) for classes in (2, 4)[: 1 if index == 11 else 2]} for index in range(12)]
    lines = [
        Line(f"loss{index}", {classes: mean_interval(each[classes], 0.9) for classes in each})
        for index, each in enumerate(values)
    ]
    axes = list(Figure().subplots(1, 2, sharey=True))
    plot_regret_rows(axes, lines)
    assert [ax.get_title() for ax in axes] == ["2 classes", "4 classes"]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == [line.label for line in lines]
    for ax, classes in zip(axes, (2, 4), strict=True):
        expected = [each[classes].mean() for each in values if classes in each]
        np.testing.assert_allclose(ax.lines[0].get_xdata(), expected)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), range(len(expected)))
    _, low, high = mean_interval(values[11][2], 0.9)
    np.testing.assert_allclose(axes[0].collections[0].get_segments()[11][:, 0], [low, high])
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]  # from the top


def test_one_seed_has_no_interval_but_a_place():
    figure = regret_figure(make_runs({("ce", 2): np.array([0.7])}), 0.05, Replicate())
    assert_legible(figure)
