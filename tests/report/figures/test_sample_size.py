from pathlib import Path

import numpy as np
import pytest

from src.analysis.collect import collect
from src.analysis.replicate import Replicate
from src.report.figures.sample_size import Decay, sample_size_figure
from tests.analysis.studies import write_run

SIZES = (20, 200, 2000)


def write_sizes(study: Path, sizes: tuple[int, ...] = SIZES) -> Path:
    """Write two models of which one has a regret of exactly 1/N and the other one that levels off."""
    for size in sizes:
        for seed in range(3):
            for model, floor in (("gaussian", 0.0), ("gaussian_shared", 0.05)):
                regret = (0.5 + 0.5 * seed) / size + floor
                metrics = {"test/accuracy": 0.6, "population/accuracy": 0.8 - regret, "population/regret": regret}
                config = {"data": {"samples_per_class": size}, "model": {"_target_": f"src.models.{model}"}}
                write_run(study, "none", seed=seed, model=model, config=config, metrics=metrics)
    return study


def test_a_line_holds_the_means_and_their_slope_on_logarithmic_scales() -> None:
    line = Decay("a", {size: (100 / size, np.nan, np.nan) for size in SIZES})
    assert line.means == pytest.approx({20: 5, 200: 0.5, 2000: 0.05})
    assert line.slope == pytest.approx(-1)
    assert list(Decay("b", {20: (1.0, 0.5, 1.5), 200: (-1.0, -1.5, -0.5)}).means) == [20]


def test_there_is_a_line_per_method_and_one_that_falls_like_1_over_n(tmp_path: Path) -> None:
    figure = sample_size_figure(collect([write_sizes(tmp_path)]).completed, 0.05, Replicate())
    assert figure is not None
    [ax] = figure.axes
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert set(drawn) == {"1/N", "gaussian\n(slope -1.00)", "gaussian_shared\n(slope -0.15)"}
    np.testing.assert_allclose(drawn["1/N"], [(size, 100 / size) for size in SIZES], rtol=1e-12)
    np.testing.assert_allclose(drawn["gaussian\n(slope -1.00)"], drawn["1/N"], rtol=1e-12)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_there_is_no_figure_where_less_than_three_sizes_are_compared(tmp_path: Path) -> None:
    assert sample_size_figure(collect([write_sizes(tmp_path, SIZES[:2])]).completed, 0.05, Replicate()) is None
