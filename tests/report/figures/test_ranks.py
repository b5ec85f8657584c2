import numpy as np
import pandas as pd
import pytest

from src.report.figures.ranks import block_means, ranks_figure
from tests.analysis.studies import make_runs
from tests.plotting.legible import assert_legible


def runs(losses: int, counts: tuple[int, ...] = (2, 4, 8)) -> pd.DataFrame:
    rng = np.random.default_rng(losses)
    return make_runs(
        {(f"loss_{i}", classes): rng.normal(0.7 - 0.02 * i, 0.01, 5) for i in range(losses) for classes in counts}
    )


def test_losses_are_ranked_over_blocks_and_the_best_is_on_top():
    figure = ranks_figure(runs(4), "population/accuracy", 0.05)
    assert figure is not None
    [ax] = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"loss_{i}" for i in range(4)]
    [dots] = [line for line in ax.lines if line.get_marker() == "o"]
    means = runs(4).pivot_table("population/accuracy", "classes", "loss")
    expected = means.rank(axis=1, ascending=False).mean()
    np.testing.assert_allclose(dots.get_xdata(), np.sort(expected))
    [bars] = ax.collections
    lengths = [segment[1, 0] - segment[0, 0] for segment in bars.get_segments()]
    assert max(lengths) == pytest.approx(2.569 * np.sqrt(20 / 18), rel=1e-3)  # Demsar's q of four treatments
    assert "average rank over 3 blocks" in ax.get_title()
    assert_legible(figure)


def test_smaller_is_better_for_regret():
    accuracy, regret = (block_means(runs(3), f"population/{name}") for name in ("accuracy", "regret"))
    np.testing.assert_allclose(accuracy.rank(axis=1), regret.rank(axis=1))


@pytest.mark.parametrize("table", [runs(2), runs(4, (2,))])
def test_two_losses_or_one_block_have_no_ranks(table: pd.DataFrame):
    assert ranks_figure(table, "population/accuracy", 0.05) is None
    assert ranks_figure(table, "test/none", 0.05) is None
