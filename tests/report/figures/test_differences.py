import numpy as np
import pytest

from src.analysis.comparisons import NOT_SHOWN, Plan, compare_losses
from src.analysis.replicate import Replicate
from src.report.figures.differences import differences, forest_figure
from tests.analysis.studies import COLLAPSED, make_runs
from tests.plotting.legible import assert_legible


def table(losses: int = 2, seeds: int = 8, shift: float = 0.0, name: str = "loss"):
    rng = np.random.default_rng(losses)
    values = {("ce", classes): rng.normal(0.7, 0.02, seeds) for classes in (2, 10)}
    for index in range(losses):
        for classes in (2, 10):
            values[f"{name}_{index:02d}", classes] = values["ce", classes] + rng.normal(shift, 0.01, seeds)
    return compare_losses(make_runs(values), "population/accuracy", Plan("ce"), Replicate())[0]


def test_rows_stand_by_class_count():
    rows = differences(table(), "learned")
    assert [row.block for row in rows] == ["2 classes"] * 2 + ["10 classes"] * 2
    assert [row.label for row in rows[:2]] == ["loss_00", "loss_01"]


def test_every_interval_is_drawn_and_significant_diamonds_are_filled():
    comparisons = table(shift=0.02)
    comparisons.loc[comparisons.index[0], "learned_finding"] = NOT_SHOWN
    [ax] = forest_figure(comparisons, Plan("ce")).axes
    rows = differences(comparisons, "learned")
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == pytest.approx([row.value for row in rows])
    assert [line.get_markerfacecolor() != "white" for line in diamonds] == [row.different for row in rows]
    thick = [line for line in ax.lines if line.get_linewidth() == 1.8]
    np.testing.assert_allclose([line.get_xdata() for line in thick], [(row.low, row.high) for row in rows])
    (right,) = ax.child_axes
    assert [text.get_text() for text in right.get_yticklabels()][1] == rows[0].text


def test_an_interval_far_away_ends_in_an_arrow_and_leaves_room():
    comparisons = table(losses=3)
    far = comparisons.index[1]
    comparisons.loc[far, ["learned_difference", "learned_low", "learned_high"]] = [-40.0, -50.0, -30.0]
    figure = forest_figure(comparisons, Plan("ce"))
    ax = figure.axes[0]
    assert len([line for line in ax.lines if line.get_marker() == "D"]) == len(comparisons) - 1
    [arrow] = [line for line in ax.lines if line.get_marker() == "<"]
    near = comparisons.drop(index=far)[["learned_low", "learned_high"]].abs().max(axis=None)
    assert -30 < arrow.get_xdata()[0] < -near
    assert ax.get_xlim()[0] > -30
    assert_legible(figure)


def test_one_seed_has_a_diamond_and_no_interval():
    comparisons = table(seeds=1)
    figure = forest_figure(comparisons, Plan("ce"))
    assert not [line for line in figure.axes[0].lines if line.get_linewidth() == 1.8 and line.get_marker() == "None"]
    assert differences(comparisons, "learned")[0].text.endswith(", no interval")
    assert_legible(figure)


def test_collapses_have_a_panel_and_the_margin_is_shaded():
    base = np.linspace(0.6, 0.7, 20)
    runs = make_runs({("ce", 2): np.where(np.arange(20) < 12, COLLAPSED, base), ("mse", 2): base + 0.01 * base})
    comparisons = compare_losses(runs, "population/accuracy", Plan("ce", margin=0.5), Replicate())[0]
    figure = forest_figure(comparisons, Plan("ce", margin=0.5))
    learned, collapsed = figure.axes
    [diamond] = [line for line in collapsed.lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == pytest.approx(-60)
    assert diamond.get_markerfacecolor() != "white"
    [region] = learned.patches
    assert (region.get_x(), region.get_x() + region.get_width()) == (-0.5, 0.5)
    assert_legible(figure)


@pytest.mark.integration
@pytest.mark.parametrize(("losses", "name"), [(1, "mse"), (15, "loss"), (3, "$a_b$ " * 30)])
def test_few_many_and_long_names_stay_legible(losses: int, name: str):
    assert_legible(forest_figure(table(losses, name=name), Plan("ce", margin=0.5)))
