from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import Findings, find
from src.report import figure_set
from src.report.figure_set import FIGURES, study_figures
from src.storage.schema import HISTORY, PREDICTIONS
from tests.analysis.studies import write_collapsed, write_run, write_study


def findings(study_folder: Path, metric: str = "population/accuracy") -> Findings:
    return find(collect([study_folder]), metric, Plan("ce"))


COLLAPSE = ["collapse", "collapse_map"]


def test_a_whole_study_gives_all_figures_and_no_problem(tmp_path: Path):
    drawn = study_figures(findings(write_study(tmp_path, seeds=2)))
    assert tuple(drawn.figures) == FIGURES
    without = [name for name, figure in drawn.figures.items() if figure is None]
    # Two seeds of two losses, one sample size, a known distribution, and every seed has learned.
    assert without == ["profiles", "ranks", "sample_size", "reliability", "confusion", "calibration", *COLLAPSE]
    assert drawn.problems == []


def test_collapsed_seeds_are_drawn_beside_the_median_seed_that_learned(tmp_path: Path):
    for seed in range(5):
        (write_collapsed if seed in (1, 3) else write_run)(tmp_path, seed=seed)
    broken = write_collapsed(tmp_path, "mse", files=False)
    drawn = study_figures(findings(tmp_path))
    learned, _, alone, _ = drawn.figures["collapse"].axes
    assert learned.get_title() == "ce, 2 classes: 2 of 5 collapsed"
    assert [line.get_label() for line in learned.lines] == ["collapsed", "collapsed", "a seed that learned"]
    assert not alone.lines
    assert f"{broken / HISTORY} is missing" in drawn.problems


def test_scatters_show_the_median_seed(tmp_path: Path):
    for seed, accuracy in enumerate([0.9, 0.2, 0.6]):
        write_run(tmp_path, seed=seed, metrics={"test/accuracy": accuracy, "population/accuracy": 1 - accuracy / 2})
    figure = study_figures(findings(tmp_path, "test/accuracy")).figures["scatter"]
    assert "seed 2" in figure.axes[0].get_title()
    assert "population 0.700" in figure.axes[0].get_title()


def test_what_cannot_be_read_is_named_and_the_rest_drawn(tmp_path: Path):
    write_study(tmp_path, seeds=1)
    broken = write_run(tmp_path, "bce")
    (broken / HISTORY).unlink()
    (broken / PREDICTIONS).write_text("x1,x2\n")
    drawn = study_figures(findings(tmp_path))
    assert len(drawn.figures["loss_curves"].axes) == 2
    assert len(drawn.figures["scatter"].axes) == 4
    assert [line.split(":")[0] for line in drawn.problems] == [
        f"{broken / HISTORY} is missing",
        f"{broken / PREDICTIONS} lacks the column target, pred",
    ]


def test_figures_without_any_data_are_none(tmp_path: Path):
    write_run(tmp_path, files=False, metrics={"test/loss": 1.0})
    drawn = study_figures(findings(tmp_path, "test/loss"))
    assert drawn.figures == dict.fromkeys(FIGURES)
    assert drawn.problems[0] == "accuracy: no run has an accuracy"


def test_too_many_panels_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figure_set, "_MAX_LABELS", 1)
    drawn = study_figures(findings(write_study(tmp_path, seeds=1)))
    assert drawn.figures["accuracy"] is not None
    assert drawn.figures["scatter"] is None
    assert drawn.problems == ["loss_curves, scatter, reliability and confusion: 2 labels, expected at most 1"]
