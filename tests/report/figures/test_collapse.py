import numpy as np
import pandas as pd
import pytest

from src.report.figures.collapse import CollapsedSeeds, Curve, collapse_figure, collapse_map_figure


def curve(*accuracy: float) -> Curve:
    return Curve(np.arange(1, len(accuracy) + 1), np.array(accuracy))


def test_dead_units_have_a_panel_only_where_a_network_has_relu():
    relu = CollapsedSeeds("ce", [curve(0.5, 0.5)], curve(0.6, 0.8), np.array([[0.4, 1.0]]), np.zeros((3, 2)))
    tanh = CollapsedSeeds("mse", [curve(0.5, 0.5)], None, np.zeros((1, 0)), np.zeros((0, 0)))
    assert len(collapse_figure([tanh]).axes) == 1
    axes = collapse_figure([relu, tanh]).axes
    assert len(axes) == 4
    shown = [line.get_ydata().tolist() for line in axes[1].lines]
    assert shown == [[0, 0] * 3, [40, 100]]
    assert not axes[3].lines


def test_many_seeds_have_a_density_per_layer_instead_of_dots():
    dead = np.random.default_rng(0).uniform(0.2, 0.9, (301, 3))
    many = CollapsedSeeds("ce", [curve(0.5, 0.5)], None, dead, np.zeros((3, 3)))
    _, right = collapse_figure([many]).axes
    assert [len(line.get_ydata()) for line in right.lines] == [9]
    for layer, body in enumerate(right.collections, start=1):
        x, percent = body.get_paths()[0].vertices.T
        assert x.min() == layer  # collapsed seeds to its right
        assert (percent.min(), percent.max()) == pytest.approx(
            (100 * dead.min(axis=0)[layer - 1], 100 * dead.max(axis=0)[layer - 1])
        )


def test_the_accuracy_after_a_single_epoch_is_visible():
    left, _ = collapse_figure([CollapsedSeeds("ce", [curve(0.5)], curve(0.6), np.ones((1, 1)), np.ones((1, 1)))]).axes
    assert [line.get_marker() for line in left.lines] == ["o", "o"]


def crossed() -> pd.DataFrame:
    rows = [
        {"label": "x", "classes": 2, "model.init": init, "optimizer.lr": rate, "loss": loss, "seed": seed}
        | {"train/decided_classes": 1 if loss == "ce" and init == "normal" and seed < 10 * rate else 2}
        for loss in ("ce", "mse")
        for init in ("kaiming", "normal")
        for rate in (0.1, 0.2, 0.4)
        for seed in range(4)
    ]
    return pd.DataFrame(rows)[["loss", "classes", "model.init", "optimizer.lr", "seed", "train/decided_classes"]]


def test_the_map_has_the_rate_of_every_cell():
    figure = collapse_map_figure(crossed())
    assert figure is not None
    ce, mse = figure.axes
    assert (ce.get_title(), mse.get_title()) == ("ce", "mse")
    np.testing.assert_array_equal(ce.images[0].get_array(), [[0, 0, 0], [0.25, 0.5, 1]])
    assert not mse.images[0].get_array().any()
    assert [text.get_text() for text in ce.texts] == ["0", "0", "0", "25", "50", "100"]
    assert [label.get_text() for label in ce.get_xticklabels()] == ["0.1", "0.2", "0.4"]


@pytest.mark.parametrize("column", ["model.init", "optimizer.lr", "train/decided_classes"])
def test_there_is_no_map_of_one_setting_or_of_unrecorded_collapses(column: str):
    assert collapse_map_figure(crossed().drop(columns=column)) is None
