from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from src.analysis.collect import collect
from src.analysis.reliability_bins import read_reliability, reliability
from src.analysis.replicate import Replicate
from src.report.figures.reliability import calibration_figure, plot_reliability, reliability_figure
from tests.analysis.studies import write_study
from tests.plotting.legible import assert_legible


def test_dots_are_the_full_bins_and_bars_their_shares():
    found = reliability([0.55, 0.58, 0.95, 1.0], [1, 0, 1, 1])
    ax = Figure().subplots()
    assert plot_reliability(ax, found) is ax
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.565, 0.5], [0.975, 1.0]])
    assert [bar.get_height() for bar in ax.patches] == [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0.5]
    assert [text.get_text() for text in ax.texts] == ["2", "2"]


def test_the_number_of_a_full_bin_stays_below_the_title():
    figure = Figure(figsize=(2.9, 3.6))
    ax = plot_reliability(figure.subplots(), reliability([0.55] * 1_600, [1] * 1_600))
    ax.set_title("ce")
    [number] = ax.texts
    assert number.get_text() == "1,600"
    figure.draw_without_rendering()
    assert not number.get_window_extent().overlaps(ax.title.get_window_extent())
    assert number.get_window_extent().y1 <= ax.get_window_extent().y1


def test_a_panel_a_condition_with_its_gap(tmp_path: Path):
    losses = ("ce", "a_very_long_name_of_a_loss_that_goes_on_and_on", "c")
    runs = collect([write_study(tmp_path, losses, seeds=2, whole=True)]).completed
    found, _ = read_reliability(runs)
    figure = reliability_figure(runs, found)
    used = [ax for ax in figure.axes if ax.axison]
    assert len(used) == 6
    first = found[runs["fingerprint"].iloc[0]]
    assert f"mean gap {100 * first.gap:.1f} points" in used[0].get_title()
    assert_legible(figure)


def test_the_error_against_the_posterior_is_a_box_a_condition(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=3, whole=True)]).completed
    figure = calibration_figure(runs, 0.05, Replicate())
    (ax,) = figure.axes
    assert len(ax.collections) == 4
    assert ax.get_xlim()[0] == 0
    assert "Bayes accuracy" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert_legible(figure)
