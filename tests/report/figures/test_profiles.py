import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from scipy import stats

from src.analysis.replicate import Replicate
from src.report.figures.profiles import plot_profiles, profiles_figure
from src.statistics.intervals import distribution_band
from tests.analysis.studies import COLLAPSED, make_runs
from tests.plotting.legible import assert_legible


def runs(losses: int, seeds: int = 9, counts: tuple[int, ...] = (2, 4)) -> pd.DataFrame:
    rng = np.random.default_rng(losses)
    return make_runs(
        {(f"loss_{i}", classes): rng.normal(0.7 - 0.02 * i, 0.01, seeds) for i in range(losses) for classes in counts}
    )


@pytest.mark.parametrize("below", [False, True])
def test_a_profile_is_the_empirical_distribution_function(below: bool):
    values = np.array([0.7, 0.6, COLLAPSED, 0.7, 0.65])
    ax = plot_profiles(Figure().subplots(), {"ce": values, "none": np.empty(0)}, 0.95, below=below)
    [line] = ax.lines
    x, y = line.get_data()
    expected = stats.ecdf(values)
    np.testing.assert_allclose(y[-1], 1.0 if below else 0.0)
    for threshold in (0.25, 0.3, 0.6, 0.64, 0.65, 0.7):
        drawn = y[np.searchsorted(x, threshold, side="right") - 1]
        assert drawn == pytest.approx(float((expected.cdf if below else expected.sf).evaluate(threshold)))
    [band] = [each for each in ax.collections if isinstance(each, FillBetweenPolyCollection)]
    inside = band.get_paths()[0].vertices[:, 1]
    assert (inside.min(), inside.max()) == (0, 1)


def test_a_profile_of_many_replicates_has_few_steps_and_the_same_shares():
    values = np.random.default_rng(1).normal(0.7, 0.05, 50_000)
    ax = plot_profiles(Figure().subplots(), {"ce": values}, None)
    x, y = ax.lines[0].get_data()
    assert len(x) <= 2_000
    thresholds = np.linspace(0.5, 0.9, 101)
    drawn = y[np.searchsorted(x, thresholds, side="right") - 1]
    np.testing.assert_allclose(drawn, stats.ecdf(values).sf.evaluate(thresholds), atol=1 / 1_500)


def test_the_band_holds_the_whole_distribution_as_often_as_it_says():
    rng = np.random.default_rng(0)
    statistics = np.array([stats.kstest(rng.normal(size=12), "norm").statistic for _ in range(2_000)])
    assert abs((statistics <= distribution_band(12, 0.9)).mean() - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 2_000)


def test_there_is_a_panel_per_class_count_and_a_line_and_band_per_loss():
    figure = profiles_figure(runs(2), "population/accuracy", 0.05, Replicate())
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["2 classes", "4 classes"]
    for ax in figure.axes:
        assert [line.get_label() for line in ax.lines] == ["loss_0", "loss_1"]
        assert len(ax.collections) == 2
        assert ax.get_xlabel() == "population accuracy"
    assert figure.axes[0].get_ylabel() == "seeds above"
    assert_legible(figure)


def test_panels_of_settings_with_long_names_are_legible():
    def with_width(width: int) -> pd.DataFrame:
        table = runs(2, counts=(2,))
        table["fingerprint"] += str(width)
        table.insert(
            table.columns.get_loc("seed"), "model.hidden", f"[{width},{2 * width},{width}], init=kaiming, lr=1"
        )
        return table

    figure = profiles_figure(pd.concat(map(with_width, (10, 50, 100, 200))), "population/accuracy", 0.05, Replicate())
    assert figure is not None
    assert figure.axes[3].get_title() == "2 classes, hidden=[200,400,200],\ninit=kaiming, lr=1"
    assert_legible(figure)


def test_of_many_losses_the_best_have_a_colour_each_and_no_bands():
    figure = profiles_figure(runs(13, counts=(2, 4, 8, 16)), "population/accuracy", 0.05, Replicate())
    assert figure is not None
    drawn = figure.axes[:4]
    assert {tuple(line.get_label() for line in ax.lines) for ax in drawn} == {tuple(f"loss_{i}" for i in range(10))}
    assert len({tuple(str(line.get_color()) for line in ax.lines) for ax in drawn}) == 1
    assert not any(ax.collections for ax in drawn)
    assert figure.get_suptitle() == "the 10 best of 13 by the average rank of their means"
    assert_legible(figure)


def test_a_panel_without_any_of_the_best_losses_is_left_out():
    worst = make_runs({("worst", classes): np.linspace(0.1, 0.2, 9) for classes in (2, 4, 32)})  # alone at C = 32
    figure = profiles_figure(pd.concat([runs(20), worst], ignore_index=True), "population/accuracy", 0.05, Replicate())
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes if ax.lines] == ["2 classes", "4 classes"]


def test_smaller_is_better_for_regret():
    figure = profiles_figure(runs(11), "population/regret", 0.05, Replicate())
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "seeds below"
    assert "loss_10" not in [line.get_label() for line in figure.axes[0].lines]


def test_folds_have_no_band_and_few_seeds_no_profile():
    table = runs(2)
    overlap = dict.fromkeys(table["fingerprint"], 0.25)
    figure = profiles_figure(table, "population/accuracy", 0.05, Replicate(overlap=overlap))
    assert figure is not None
    assert not figure.axes[0].collections
    assert profiles_figure(runs(2, seeds=4), "population/accuracy", 0.05, Replicate()) is None
    assert profiles_figure(table, "test/none", 0.05, Replicate()) is None
