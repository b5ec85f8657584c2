import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from src.report.figures.boxes import Group, box_legend, plot_accuracy_boxes


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def group(label: str, classes: int, seeds: int, bayes: float | None = 0.75) -> Group:
    values = np.random.default_rng([seeds, classes, len(label)]).normal(0.7, 0.02, seeds)
    return Group(label, classes, values, bayes)


def lines(ax: Axes, label: str) -> list[Line2D]:
    return [line for line in ax.lines if line.get_label() == label]


def rows(ax: Axes) -> dict[str, float]:
    return {text.get_text(): place for text, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


@pytest.mark.parametrize("seeds", [2, 20, 300])
def test_a_dot_a_seed_and_the_mean_with_its_interval(ax: Axes, seeds: int):
    groups = [group("mse", 2, seeds), group("ce", 2, seeds)]
    assert plot_accuracy_boxes(ax, groups) is ax
    for each, dots, mean in zip(groups, ax.collections, lines(ax, "mean and its interval"), strict=True):
        offsets = np.asarray(dots.get_offsets())
        np.testing.assert_array_equal(offsets[:, 0], each.values)
        assert np.abs(offsets[:, 1] - rows(ax)[each.label]).max() < 0.31
        assert mean.get_xdata()[0] == pytest.approx(each.values.mean())
        assert mean.get_ydata()[0] == rows(ax)[each.label]
        interval = stats.ttest_1samp(each.values, 0).confidence_interval(0.95)
        drawn = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 1.6]
        assert any(np.allclose(ends, interval, rtol=1e-12) for ends in drawn)


def test_many_seeds_are_a_density_instead_of_dots(ax: Axes) -> None:
    each = group("ce", 2, 1000)
    plot_accuracy_boxes(ax, [each])
    [body] = ax.collections
    outline = body.get_paths()[0].vertices
    upper = outline[outline[:, 1] > rows(ax)["ce"]]
    density = stats.gaussian_kde(each.values)(upper[:, 0])
    height = upper[:, 1] - rows(ax)["ce"]
    np.testing.assert_allclose(height / height.max(), density / density.max(), rtol=1e-6)
    assert (outline[:, 0].min(), outline[:, 0].max()) == (each.values.min(), each.values.max())
    assert [entry.get_label() for entry in box_legend([ax])][:2] == ["quartiles and median", "density of the seeds"]


def test_equal_values_of_many_seeds_are_drawn(ax: Axes) -> None:
    plot_accuracy_boxes(ax, [Group("ce", 2, np.full(1000, 0.5))])
    ax.figure.draw_without_rendering()


def test_boxes_reach_from_quartile_to_quartile_without_fliers(ax: Axes):
    each = Group("ce", 2, np.array([0.5, 0.70, 0.71, 0.72, 0.73, 0.74, 0.99]))
    plot_accuracy_boxes(ax, [each])
    (box,) = ax.patches
    x = box.get_path().vertices[:, 0]
    assert (x.min(), x.max()) == pytest.approx(tuple(np.quantile(each.values, [0.25, 0.75])))
    medians = [line for line in ax.lines if line.get_linewidth() == 1.8]
    assert medians[0].get_xdata()[0] == 0.72
    assert not [line for line in ax.lines if line.get_marker() not in ("None", None, "", "D")]


def test_dots_are_jittered_the_same_way_every_time():
    drawn = []
    for _ in range(2):
        axes = Figure().subplots()
        plot_accuracy_boxes(axes, [group("ce", 2, 50)])
        drawn.append(np.asarray(axes.collections[0].get_offsets()))
    np.testing.assert_array_equal(*drawn)
    assert len(np.unique(drawn[0][:, 1])) == 50


def test_one_seed_is_a_dot_without_box_mean_or_interval(ax: Axes):
    plot_accuracy_boxes(ax, [group("ce", 2, 1)])
    assert len(ax.collections[0].get_offsets()) == 1
    assert not ax.patches
    assert [line.get_label() for line in ax.lines] == ["Bayes accuracy"]
    assert [entry.get_label() for entry in box_legend([ax])] == ["one seed", "Bayes accuracy"]


def test_a_group_without_values_keeps_its_row(ax: Axes):
    plot_accuracy_boxes(ax, [group("ce", 2, 3), Group("mse", 2, np.array([]))])
    assert list(rows(ax)) == ["2 classes", "ce", "mse"]


def test_a_bayes_line_for_each_class_count_spans_its_rows_only(ax: Axes):
    groups = [group("ce", 2, 3, 0.75), group("mse", 2, 3, 0.75), group("ce", 4, 3, 0.625), group("mse", 4, 3, 0.625)]
    plot_accuracy_boxes(ax, groups)
    two, four = lines(ax, "Bayes accuracy")
    assert set(two.get_xdata()) == {0.75}
    assert set(four.get_xdata()) == {0.625}
    assert list(two.get_ydata()) == [0.5, 2.5]
    assert list(four.get_ydata()) == [3.5, 5.5]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_bayes_lines_break_where_the_distribution_changes_or_is_not_known(ax: Axes):
    groups = [group("a", 2, 3, 0.7), group("b", 2, 3, 0.8), group("c", 2, 3, 0.8), group("d", 2, 3, None)]
    plot_accuracy_boxes(ax, groups)
    drawn = lines(ax, "Bayes accuracy")
    assert [(set(line.get_xdata()), list(line.get_ydata())) for line in drawn] == [
        ({0.7}, [0.5, 1.5]),
        ({0.8}, [1.5, 3.5]),
    ]


def test_a_loss_keeps_its_colour_over_class_counts(ax: Axes):
    plot_accuracy_boxes(ax, [group("ce", 2, 3), group("mse", 2, 3), group("ce", 4, 3), group("mse", 4, 3)])
    colors = [tuple(dots.get_facecolors()[0]) for dots in ax.collections]
    assert colors[0] == colors[2] != colors[1] == colors[3]


def test_the_optimum_of_a_loss_is_a_line_of_its_own_beside_that_loss_alone(ax: Axes):
    values = np.array([0.3, 0.35])
    groups = [Group("mse", 4, values, bayes=0.625, ideal=0.375), Group("ce", 4, values, bayes=0.625)]
    plot_accuracy_boxes(ax, groups)
    [line] = lines(ax, "optimum of the loss")
    assert list(line.get_xdata()) == [0.375, 0.375]
    assert list(line.get_ydata()) == [rows(ax)["mse"] - 0.5, rows(ax)["mse"] + 0.5]
    assert "optimum of the loss" in [entry.get_label() for entry in box_legend([ax])]


def test_collapsed_seeds_are_hollow(ax: Axes):
    hollow = np.array([False, True, False, True])
    values = np.array([0.7, 0.5, 0.72, 0.5])
    plot_accuracy_boxes(ax, [Group("ce", 2, values, collapsed=hollow)])
    filled, empty = ax.collections
    np.testing.assert_array_equal(np.asarray(filled.get_offsets())[:, 0], values[~hollow])
    np.testing.assert_array_equal(np.asarray(empty.get_offsets())[:, 0], values[hollow])
    np.testing.assert_array_equal(empty.get_facecolors(), [[1, 1, 1, 1]])
    assert "one collapsed seed" in [entry.get_label() for entry in box_legend([ax])]


def test_only_a_mean_without_collapsed_seeds_has_an_interval(ax: Axes):
    values = np.array([0.7, 0.71, 0.72, 0.5])
    plot_accuracy_boxes(ax, [Group("ce", 2, values, collapsed=values < 0.6), Group("mse", 2, values[:3])])
    intervals = [line for line in ax.lines if line.get_color() == "black" and line.get_linewidth() == 1.6]
    assert [list(line.get_ydata()) for line in intervals] == [[2, 2]]
