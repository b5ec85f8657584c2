import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from src.plotting.run_figures import (
    Regions,
    loss_figure,
    moving_mean,
    plot_loss_steps,
    plot_test_scatter,
    scatter_figure,
    scatter_legend,
)
from src.plotting.style import class_colors
from tests.analysis.studies import cubic, nearest_band, noisy_cubic


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def samples(classes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = noisy_cubic(classes, seed=0, wobble=0.1)
    return table[["x1", "x2"]].to_numpy(), table["target"].to_numpy(), table["pred"].to_numpy()


def regions(classes: int, order: list[int] | None = None) -> Regions:
    x1, x2 = np.linspace(-0.1, 1.1, 60), np.linspace(-0.5, 1.5, 50)
    bands = nearest_band(*np.meshgrid(x1, x2), classes)
    labels = bands if order is None else np.array(order)[bands]
    return Regions(x1, x2, labels, labels)


def legend_texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def scatters(ax: Axes) -> list[PathCollection]:
    return [each for each in ax.collections if isinstance(each, PathCollection)]


@pytest.mark.parametrize("window", [1, 2, 5, 26])
def test_moving_mean_is_the_mean_of_a_centred_window(window: int):
    values = np.random.default_rng(0).random(40)
    before, after = (window - 1) // 2, window // 2
    expected = [values[max(0, i - before) : i + after + 1].mean() for i in range(40)]
    np.testing.assert_allclose(moving_mean(values, window), expected, rtol=1e-12)


def test_loss_has_a_point_a_step_and_a_smoothed_line(ax: Axes):
    loss = 1 + np.random.default_rng(0).random(1300)
    assert plot_loss_steps(ax, loss, window=13, floor=0.5) is ax
    raw, smooth, floor = ax.lines
    np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 1301))
    np.testing.assert_array_equal(raw.get_ydata(), loss)
    np.testing.assert_allclose(smooth.get_ydata()[100], loss[94:107].mean())
    assert raw.get_rasterized()
    assert set(floor.get_ydata()) == {0.5}
    assert legend_texts(ax) == ["each step", "mean of 13 steps", "floor 0.5"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")


@pytest.mark.parametrize(("last", "scale"), [(0.2, "linear"), (0.05, "log"), (0.0, "linear"), (-1.0, "linear")])
def test_scale_is_logarithmic_beyond_a_factor_of_ten(ax: Axes, last: float, scale: str):
    plot_loss_steps(ax, np.linspace(1, last, 200), window=1)
    assert ax.get_yscale() == scale


def test_a_step_of_vanishing_loss_does_not_fill_a_logarithmic_axis(ax: Axes):
    loss = np.geomspace(1, 0.01, 1000)
    loss[500] = 1e-30
    plot_loss_steps(ax, loss)
    assert 1e-4 < ax.get_ylim()[0] < 0.01


def test_steps_that_are_not_finite_are_left_out(ax: Axes):
    plot_loss_steps(ax, np.array([1.0, 0.9, np.inf, np.nan]), window=1)
    assert list(ax.lines[0].get_xdata()) == [1, 2]
    assert np.isfinite(ax.get_ylim()).all()


@pytest.mark.parametrize("loss", [[], [0.5], [np.nan]])
def test_hardly_any_steps_can_be_drawn(loss: list[float]):
    loss_figure(np.array(loss)).draw_without_rendering()


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_points_are_coloured_by_prediction_and_wrong_ones_ringed(ax: Axes, classes: int):
    x, target, pred = samples(classes)
    assert plot_test_scatter(ax, x, target, pred, classes=classes, regions=None, title="23/32 = 0.72") is ax
    *by_class, wrong = scatters(ax)
    assert [len(each.get_offsets()) for each in by_class] == [(target == label).sum() for label in range(classes)]
    colors = np.array([to_rgba(color) for color in class_colors(classes)])
    for label, each in enumerate(by_class):
        np.testing.assert_allclose(each.get_facecolors(), colors[pred[target == label]])
    np.testing.assert_array_equal(wrong.get_offsets(), x[pred != target])
    assert len(wrong.get_facecolors()) == 0
    assert ax.get_title() == "23/32 = 0.72"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x2")


def test_no_wrong_point_no_ring(ax: Axes):
    x, target, _ = samples()
    plot_test_scatter(ax, x, target, target, classes=2, regions=None)
    scatter_legend([ax], 2)
    assert len(scatters(ax)) == 2
    assert legend_texts(ax) == ["class 0", "class 1"]


def test_regions_fill_their_cells_and_show_the_bayes_boundary(ax: Axes):
    x, target, pred = samples()
    grid = regions(2)
    plot_test_scatter(ax, x, target, pred, classes=2, regions=grid)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), grid.pred)
    step = grid.x1[1] - grid.x1[0]
    assert image.get_extent()[:2] == pytest.approx([-0.1 - step / 2, 1.1 + step / 2])
    (contour,) = [each for each in ax.collections if not isinstance(each, PathCollection)]
    vertices = np.concatenate([path.vertices for path in contour.get_paths()])
    cell = np.hypot(step, grid.x2[1] - grid.x2[0])
    nearest = np.min(np.hypot(*(vertices[:, None] - _cubic_line()).transpose(2, 0, 1)), axis=1)
    assert nearest.max() < cell


def _cubic_line() -> np.ndarray:
    x1 = np.linspace(-0.1, 1.1, 2000)
    return np.stack([x1, cubic(x1)], axis=-1)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_every_boundary_is_drawn_once_whatever_the_order_of_labels(ax: Axes, order: list[int]):
    x, target, pred = samples(4)
    plot_test_scatter(ax, x, target, pred, classes=4, regions=regions(4, order))
    (contour,) = [each for each in ax.collections if not isinstance(each, PathCollection)]
    vertices = [path.vertices for path in contour.get_paths()]
    assert len(vertices) == 3
    offsets = [np.median(line[:, 1] - cubic(line[:, 0])) for line in vertices]
    assert sorted(offsets) == pytest.approx([-0.2, 0, 0.2], abs=0.03)


@pytest.mark.parametrize("classes", [2, 10, 12])
def test_scatter_figure_has_a_legend_outside_for_everything_it_shows(classes: int):
    x, target, pred = samples(classes)
    line = _cubic_line().T
    figure = scatter_figure(x, target, pred, classes=classes, regions=regions(classes), curve=(line[0], line[1]))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    expected = [f"class {label}" for label in range(classes)]
    assert sorted(legend_texts(ax)) == sorted([*expected, "noiseless curve", "Bayes boundary", "wrong"])
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= ax.get_window_extent().x1
    assert figure.bbox.x0 <= legend.x0 <= legend.x1 <= figure.bbox.x1


def test_a_curve_that_leaves_the_regions_does_not_widen_the_picture(ax: Axes):
    x, target, pred = samples()
    far = np.array([-3.0, 4.0])
    plot_test_scatter(ax, x, target, pred, classes=2, regions=regions(2), curve=(far, far))
    assert (*ax.get_xlim(), *ax.get_ylim()) == pytest.approx(ax.images[0].get_extent())
    np.testing.assert_array_equal(ax.lines[-1].get_xdata(), far)


@pytest.mark.parametrize("distribution", [None, "constant"])
def test_no_boundary_without_a_distribution_or_with_one_best_class(ax: Axes, distribution: str | None):
    x, target, pred = samples()
    grid = regions(2)
    bayes = None if distribution is None else np.zeros_like(grid.pred)
    plot_test_scatter(ax, x, target, pred, classes=2, regions=Regions(grid.x1, grid.x2, grid.pred, bayes))
    assert all(isinstance(each, PathCollection) for each in ax.collections)


def test_a_title_is_never_a_formula(ax: Axes):
    x, target, pred = samples()
    plot_test_scatter(ax, x, target, pred, classes=2, regions=None, title="$1 and $2")
    ax.figure.draw_without_rendering()
    assert ax.get_title() == r"\$1 and \$2"
