import numpy as np
import pytest

from src.analysis.variance import decompose
from src.report.figures.variance import variance_bars, variance_figure
from tests.analysis.studies import make_runs
from tests.plotting.legible import assert_legible


def variance(crossed: bool, losses: int = 2, name: str = "loss"):
    rng = np.random.default_rng(0)
    shape = (5, 4, 3)
    size = 60 if crossed else 12
    effect = np.repeat(rng.normal(0, 0.02, 5), 12) if crossed else 0.0
    values = {
        (f"{name}{index}", classes): 0.7 + effect + rng.normal(0, 0.01, size)
        for index in range(losses)
        for classes in (2, 4)
    }
    runs = make_runs(values, shape if crossed else None)
    return decompose(runs.assign(**{"test/accuracy": runs["population/accuracy"], "test/count": 32.0}))[0]


def test_plain_seeds_have_one_bar_of_two_parts():
    bars = variance_bars(variance(crossed=False))
    assert [(bar.label, bar.metric) for bar in bars] == [("loss0", "test"), ("loss1", "test")] * 2
    assert set(bars[0].parts) == {"seed", "finite test set"}
    assert bars[0].text == f"sd {sum(bars[0].parts.values()) ** 0.5:.1f} points"


def test_a_crossed_design_has_two_bars_of_sources():
    bars = variance_bars(variance(crossed=True))
    assert [(bar.label, bar.metric) for bar in bars[:2]] == [("loss0", "population"), ("loss0", "test")]
    assert bars[1].parts.keys() - bars[0].parts.keys() == {"finite test set"}
    assert all(part >= 0 for bar in bars for part in bar.parts.values())
    ax = variance_figure(bars).axes[0]
    rows = {}
    for patch in ax.patches:
        rows[round(patch.get_y(), 3)] = rows.get(round(patch.get_y(), 3), 0) + patch.get_width()
    assert list(rows.values()) == pytest.approx([1] * len(bars))


def test_without_variance_there_is_no_bar():
    assert variance_bars(decompose(make_runs({("ce", 2): np.full(5, 0.7)}))[0]) == []


@pytest.mark.integration
@pytest.mark.parametrize("crossed", [True, False])
@pytest.mark.parametrize(("losses", "name"), [(1, "ce"), (12, "loss"), (2, "$a_b$ " * 30)])
def test_few_many_and_long_names_stay_legible(crossed: bool, losses: int, name: str):
    assert_legible(variance_figure(variance_bars(variance(crossed, losses, name))))
