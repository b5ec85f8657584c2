import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from src.analysis.collect import collect
from src.analysis.run_files import Curves, Predictions, read_curves
from src.report.figures.comparison import (
    Panel,
    accuracy_figure,
    loss_curves_figure,
    plot_loss_curves,
    scatter_comparison_figure,
)
from tests.analysis.studies import noisy_cubic, write_run, write_study
from tests.plotting.legible import assert_legible


def panel(label: str, classes: int, seed: int = 3, population: float | None = 0.741) -> Panel:
    table = noisy_cubic(classes, seed, wobble=0.1)
    points = Predictions(table[["x1", "x2"]].to_numpy(), table["target"].to_numpy(), table["pred"].to_numpy())
    return Panel(label, classes, points, seed, population)


def test_accuracy_has_two_panels_on_the_same_scales(tmp_path: Path):
    figure = accuracy_figure(collect([write_study(tmp_path, seeds=5)]).completed)
    test, population = figure.axes
    assert test.get_title().startswith("test accuracy")
    assert population.get_title().startswith("population accuracy")
    assert test.get_xlim() == population.get_xlim()
    assert test.get_ylim() == population.get_ylim()
    for ax in figure.axes:
        assert [len(dots.get_offsets()) for dots in ax.collections] == [5] * 4
    labels = [text.get_text() for text in test.get_yticklabels()]
    assert labels == ["2 classes", "ce", "mse", "4 classes", "ce", "mse"]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "Bayes accuracy"
    assert_legible(figure)


def test_accuracy_without_a_distribution_has_one_panel(tmp_path: Path):
    for seed in range(3):
        write_run(tmp_path, seed=seed, metrics={"test/accuracy": 0.5 + seed / 10})
    figure = accuracy_figure(collect([tmp_path]).completed)
    (ax,) = figure.axes
    assert len(ax.collections[0].get_offsets()) == 3
    assert "Bayes accuracy" not in [line.get_label() for line in ax.lines]
    assert_legible(figure)


@pytest.mark.parametrize("seeds", [1, 3])
def test_accuracy_with_long_odd_names_stays_legible(tmp_path: Path, seeds: int):
    for width in (1, 2):
        for seed in range(seeds):
            write_run(tmp_path, "<b>$x$&_", seed=seed, config={"model": {"hidden": [100] * 12 + [width]}})
    assert_legible(accuracy_figure(collect([tmp_path]).completed))


def test_sixteen_losses_and_four_class_counts_with_long_names_stay_legible():
    rows = [
        {
            "label": f"loss_{loss:02d}, hidden=[50,100,50], lr=0.0001",
            "classes": classes,
            "test/accuracy": 0.5 + seed / 10,
        }
        for loss, classes, seed in itertools.product(range(16), (2, 3, 4, 10), range(3))
    ]
    runs = pd.DataFrame(rows)
    figure = accuracy_figure(runs.assign(fingerprint=runs["label"] + runs["classes"].astype(str)))
    assert len(figure.axes[0].get_yticks()) == 68
    assert_legible(figure)
    assert figure.axes[0].get_window_extent().width > 0.5 * figure.bbox.width


def test_loss_curves_have_a_panel_a_label_and_a_line_a_class_count(tmp_path: Path):
    runs = collect([write_study(tmp_path, losses=("a", "b", "c", "d", "e"), seeds=2)]).completed
    curves, _ = read_curves(runs)
    figure = loss_curves_figure(runs, curves)
    used = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in used] == ["a", "b", "c", "d", "e"]
    assert len(figure.axes) == 8
    for ax in used:
        assert [line.get_label() for line in ax.lines] == ["2 classes", "4 classes"]
    first = curves[runs["fingerprint"].iloc[0]]
    np.testing.assert_allclose(used[0].lines[0].get_ydata(), np.median(first.loss, axis=0))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["2 classes", "4 classes"]
    assert_legible(figure)


def test_loss_curves_leave_out_conditions_without_any(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=1)]).completed
    one = runs.iloc[0]
    curves = {one["fingerprint"]: Curves(np.array([1, 2]), np.array([[1.0, 0.5]]))}
    (ax,) = loss_curves_figure(runs, curves).axes
    assert (ax.get_title(), len(ax.lines)) == (one["label"], 1)


def test_scatters_stand_a_label_a_column_and_a_class_count_a_row():
    panels = [panel("ce", 2), panel("ce", 4), panel("mse", 2), panel("mse", 4, population=None)]
    figure = scatter_comparison_figure(panels)
    assert [ax.get_title() for ax in figure.axes] == [panels[index].title for index in (0, 2, 1, 3)]
    correct = int((panels[0].predictions.pred == panels[0].predictions.target).sum())
    assert panels[0].title == f"ce\n2 classes, seed 3\n{correct}/32 = {correct / 32:.2f}, population 0.741"
    assert "population" not in panels[3].title
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert [ax.get_legend() is not None for ax in figure.axes] == [False, True, False, True]
    assert_legible(figure)


def test_a_missing_scatter_leaves_its_place_empty():
    figure = scatter_comparison_figure([panel("ce", 2), panel("mse", 4)])
    assert [ax.axison for ax in figure.axes] == [True, False, False, True]
    last = figure.axes[3]
    assert last.get_ylabel() == "x2"
    assert_legible(figure)


def test_many_labels_fill_several_rows_of_scatters():
    panels = [panel(f"loss {number}", classes) for number in range(6) for classes in (2, 4)]
    figure = scatter_comparison_figure(panels)
    titles = [ax.get_title().partition("\n")[0] for ax in figure.axes]
    first, rest = [f"loss {number}" for number in range(4)], ["loss 4", "loss 5", "", ""]
    assert titles == [*first, *first, *rest, *rest]


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def band(ax: Axes, index: int) -> np.ndarray:
    return ax.collections[index].get_paths()[0].vertices


def test_line_is_the_median_and_the_band_reaches_the_quartiles(ax: Axes):
    epoch = np.arange(1, 31)
    loss = 1 + np.random.default_rng(0).random((7, 30))
    assert plot_loss_curves(ax, {"2 classes": Curves(epoch, loss)}, {"2 classes": "red"}) is ax
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), epoch)
    np.testing.assert_allclose(line.get_ydata(), np.median(loss, axis=0))
    assert line.get_label() == "2 classes"
    vertices = band(ax, 0)
    for at in (1, 15, 30):
        ends = vertices[vertices[:, 0] == at, 1]
        low, high = np.quantile(loss[:, at - 1], [0.25, 0.75])
        assert (ends.min(), ends.max()) == pytest.approx((low, high))


def test_seeds_that_end_early_do_not_count_later(ax: Axes):
    nan = np.nan
    loss = np.array([[4.0, 2.0, nan, nan], [2.0, 1.0, 3.0, nan], [3.0, nan, 5.0, nan]])
    plot_loss_curves(ax, {"a": Curves(np.array([1, 2, 3, 4]), loss)}, {"a": "red"})
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    assert list(ax.lines[0].get_ydata()) == [3.0, 1.5, 4.0]


def test_one_seed_is_a_line(ax: Axes):
    plot_loss_curves(ax, {"a": Curves(np.array([1, 2]), np.array([[1.0, 0.5]]))}, {"a": "red"})
    assert list(ax.lines[0].get_ydata()) == [1.0, 0.5]


def test_a_single_epoch_is_a_dot_with_its_quartiles(ax: Axes):
    loss = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    plot_loss_curves(ax, {"a": Curves(np.array([1]), loss)}, {"a": "red"})
    assert (ax.lines[0].get_marker(), list(ax.lines[0].get_ydata())) == ("o", [3.0])
    [bar] = [each for each in ax.collections if isinstance(each, LineCollection)]
    np.testing.assert_array_equal(bar.get_segments(), [[[1, 2], [1, 4]]])


@pytest.mark.parametrize(("last", "scale"), [(0.2, "linear"), (0.01, "log")])
def test_scale_follows_the_medians(ax: Axes, last: float, scale: str):
    loss = np.linspace(1, last, 50)[None]
    plot_loss_curves(ax, {"a": Curves(np.arange(50), loss)}, {"a": "red"})
    assert ax.get_yscale() == scale


def test_unequal_classes_lead_with_balanced_accuracy_and_a_line(tmp_path: Path):
    metrics = {"test/accuracy": 0.9, "test/balanced_accuracy": 0.6, "test/majority_accuracy": 0.95}
    for seed in range(3):
        write_run(tmp_path, seed=seed, metrics=metrics)
    first, second = accuracy_figure(collect([tmp_path]).completed).axes
    assert (first.get_title(), second.get_title()) == ("balanced test accuracy", "test accuracy (test samples)")
    for ax, expected in ((first, 0.5), (second, 0.95)):
        [line] = [line for line in ax.lines if line.get_label() == "always the largest class"]
        assert list(line.get_xdata()) == [expected] * 2
