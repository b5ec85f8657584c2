import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.analysis.run_files import Curves
from src.report.figures.curves import plot_loss_curves


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


@pytest.mark.parametrize(("last", "scale"), [(0.2, "linear"), (0.01, "log")])
def test_scale_follows_the_medians(ax: Axes, last: float, scale: str):
    loss = np.linspace(1, last, 50)[None]
    plot_loss_curves(ax, {"a": Curves(np.arange(50), loss)}, {"a": "red"})
    assert ax.get_yscale() == scale
