import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from scripts.aggregate import main
from src.plotting.style import save
from src.report.figure_set import StudyFigures
from src.storage.schema import FAILED, HISTORY, PREDICTIONS, RESULTS
from tests.analysis.studies import write_run, write_study

FIGURES = ("accuracy", "differences", "regret", "loss_curves", "scatter", "reliability", "calibration", "variance")
TABLES = {"runs.csv", "summary.csv", "comparisons.csv", "variance.csv", "problems.txt", "tables.tex"}
FILES = TABLES | {"report.html", "report.md"} | {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "pdf")}

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1" version="1.1"></svg>'


@dataclass(frozen=True)
class Ended:
    """The result of a command, and the files of its report."""

    code: int
    out: str
    err: str
    study: Path

    @property
    def report(self) -> Path:
        return self.study / "report"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Aggregate one study that has everything, once for all tests that only look at it."""
    study = write_study(tmp_path_factory.mktemp("whole") / "hw4", seeds=3, whole=True)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(study)])
    return Ended(code, out.getvalue(), err.getvalue(), study)


@pytest.fixture
def svg_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save each figure in one format, which is quicker."""
    monkeypatch.setattr("src.report.write.save", lambda figure, stem, formats: save(figure, stem, ("svg",)))


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw figures, but save empty pictures, which is quicker still."""

    def touch(figure: object, stem: Path, formats: object) -> None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".svg").write_text(EMPTY, encoding="utf-8")

    monkeypatch.setattr("src.report.write.save", touch)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which is the quickest."""
    monkeypatch.setattr("scripts.aggregate.study_figures", lambda findings, progress: StudyFigures({}))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_study_becomes_a_report(whole: Ended):
    assert whole.code == 0
    assert {path.name for path in whole.report.iterdir()} == FILES
    runs, summary = (pd.read_csv(whole.report / f"{name}.csv") for name in ("runs", "summary"))
    assert len(runs) == 12
    assert len(summary) == 4
    means = runs.groupby(["label", "classes"])["test/accuracy"].mean()
    assert list(summary["test/accuracy mean"]) == pytest.approx(list(means))
    assert (whole.report / "problems.txt").read_text() == "none\n"
    assert f"12 completed runs, 4 conditions. Report: {whole.report}\n" in whole.out
    assert whole.err == ""


def test_comparisons_are_written_in_points_and_answered_on_the_console(whole: Ended):
    table = pd.read_csv(whole.report / "comparisons.csv")
    assert list(table["classes"]) == [2, 4]
    assert set(table["metric"]) == {"population/accuracy"}
    runs = pd.read_csv(whole.report / "runs.csv").set_index(["loss", "classes", "seed"])["population/accuracy"]
    assert table["difference"][0] == pytest.approx(100 * (runs["mse", 2] - runs["ce", 2]).mean())
    assert "At C = 2, where both learned (in all of 3 seeds), no difference in population accuracy" in whole.out
    assert "of the variance of test accuracy" in whole.out.lower()


@pytest.mark.integration
@pytest.mark.usefixtures("svg_only")
def test_a_second_report_is_the_same_and_reads_no_earlier_report(tmp_path: Path):
    study = write_study(tmp_path, ("ce", "mse"), (2,), seeds=2)
    assert main([str(study)]) == 0
    first = {path: path.read_bytes() for path in (study / "report").iterdir()}
    assert main([str(study)]) == 0
    assert {path: path.read_bytes() for path in (study / "report").iterdir()} == first


@pytest.mark.usefixtures("no_figures")
def test_several_studies_report_in_the_first_or_where_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = write_study(tmp_path / "a", ("ce",), (2,)), write_study(tmp_path / "b", ("mse",), (2,))
    assert main([str(first), str(second)]) == 0
    assert f"Report: {first / 'report'} (in the first STUDY)" in capsys.readouterr().out
    assert not (second / "report").exists()
    assert main([str(first), str(second), "--out", str(tmp_path / "x" / "y")]) == 0
    assert set(pd.read_csv(tmp_path / "x" / "y" / "runs.csv")["study"]) == {"a", "b"}


@pytest.mark.usefixtures("svg_only")
@pytest.mark.integration
def test_metric_chooses_the_table_and_the_median_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed, (test, population) in enumerate([(0.9, 0.5), (0.8, 0.9), (0.7, 0.6)]):
        write_run(tmp_path, seed=seed, metrics={"test/accuracy": test, "population/accuracy": population})
    assert main([str(tmp_path), "--metric", "test/accuracy"]) == 0
    assert "seed 1" in (tmp_path / "report" / "scatter.svg").read_text()
    assert "population/accuracy" not in capsys.readouterr().out
    assert main([str(tmp_path)]) == 0
    assert "seed 2" in (tmp_path / "report" / "scatter.svg").read_text()
    assert "population/accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("unsaved")
def test_damaged_runs_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path, seeds=2)
    failed = write_run(study, "ce", seed=2, status=FAILED, error="the loss is NaN at epoch 3")
    broken = write_run(study, "mse", seed=2)
    (broken / RESULTS).write_text("{")
    (write_run(study, "ce", seed=3) / HISTORY).write_text("")
    assert main([str(study)]) == 0
    text = (study / "report" / "problems.txt").read_text()
    err = capsys.readouterr().err
    for line in (
        "failed (1):",
        f"  {failed}: the loss is NaN at epoch 3",
        "unreadable (1):",
        f"  {broken / RESULTS} cannot be read",
        "missing (3):",
        "left out of a figure (1):",
    ):
        assert line in text
        assert line in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("no_figures")
def test_many_problems_are_cut_on_the_console_but_not_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, seed=0)
    for seed in range(1, 16):
        write_run(tmp_path, seed=seed, files=False, status=FAILED, error="NaN")
    assert main([str(tmp_path)]) == 0
    assert "and 5 more, see problems.txt" in capsys.readouterr().err
    assert (tmp_path / "report" / "problems.txt").read_text().count("NaN") == 15


@pytest.mark.usefixtures("svg_only")
def test_names_cannot_run_as_formulas_or_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, "=cmd|'/c calc'!A1", condition="a")
    write_run(tmp_path, "<script>[bold]$x$_&", condition="b")
    assert main([str(tmp_path)]) == 0
    assert "[bold]" in capsys.readouterr().out
    cells = pd.read_csv(tmp_path / "report" / "runs.csv")
    assert list(cells["label"]) == ["<script>[bold]$x$_&", "'=cmd|'/c calc'!A1"]
    for name in ("accuracy", "loss_curves", "scatter"):
        svg = (tmp_path / "report" / f"{name}.svg").read_text()
        ET.fromstring(svg)  # noqa: S314 - ours
        assert "<script" not in svg


@pytest.mark.usefixtures("unsaved")
def test_one_seed_without_a_known_distribution(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, metrics={"test/accuracy": 0.5})
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "No run has a population accuracy" in out
    assert "Each condition has one seed: intervals and tests need at least two" in out
    summary = pd.read_csv(tmp_path / "report" / "summary.csv")
    assert summary["test/accuracy mean"][0] == 0.5
    assert summary["test/accuracy low"].isna().all()


@pytest.mark.usefixtures("unsaved")
def test_a_figure_that_cannot_be_drawn_leaves_no_old_one(tmp_path: Path):
    folder = write_run(tmp_path)
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "report" / "loss_curves.svg").exists()
    (folder / HISTORY).unlink()
    assert main([str(tmp_path)]) == 0
    assert not (tmp_path / "report" / "loss_curves.svg").exists()
    assert (tmp_path / "report" / "scatter.svg").exists()


@pytest.mark.usefixtures("no_figures")
def test_the_baseline_alpha_and_margin_are_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path, seeds=4)
    assert main([str(study), "--baseline", "mse", "--alpha", "0.1", "--margin", "30"]) == 0
    table = pd.read_csv(study / "report" / "comparisons.csv")
    assert set(table["baseline"]) == {"mse"}
    out = capsys.readouterr().out
    assert "90% interval" in out
    assert "they are equivalent within 30 points" in out


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("started", [True, False])
def test_open_shows_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, started: bool
):
    shown = []
    monkeypatch.setattr("webbrowser.open", lambda url: shown.append(url) or started)
    write_run(tmp_path)
    assert main([str(tmp_path), "--open"]) == 0
    assert shown == [(tmp_path / "report" / "report.html").as_uri()]
    assert ("no browser could be started" in capsys.readouterr().err) == (not started)


@pytest.mark.usefixtures("unsaved")
def test_all_bad_input_at_once_is_a_line_each_and_the_good_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    study, second = write_study(tmp_path / "a", seeds=4), tmp_path / "b"
    bad = {
        "truncated": lambda text: text[: len(text) // 2],
        "foreign": lambda text: '{"hello": "world"}',
        "newer": lambda text: text.replace('"schema": 2', '"schema": 99'),
        "nan": lambda text: text.replace('"test/accuracy": ', '"test/accuracy": NaN, "x": '),
        "edited": lambda text: text.replace('"population/accuracy": 0', '"population/accuracy": 7'),
        "one class": lambda text: json.dumps(json.loads(text) | {"classes": 1}),
        "streams": lambda text: json.dumps(json.loads(text) | {"streams": {"data": "x"}}),
    }
    for seed, damage in enumerate(bad.values(), start=4):
        path = write_run(study, "ce", 2, seed) / RESULTS
        path.write_text(damage(path.read_text()))
    write_run(study, "mse", 4, 4)
    write_run(second, "ce", 2, 0)
    write_run(second, "ce", 2, 1, metrics={"test/accuracy": 0.5, "population/accuracy": 0.5})
    (write_run(study, "<img src=x onerror=alert(1)>", 2, 0) / HISTORY).write_bytes(b"\x00\xff")
    (write_run(study, "<img src=x onerror=alert(1)>", 2, 1) / PREDICTIONS).write_text("x1,x2\n1,2\n")
    assert main([str(study), str(second)]) == 0
    text, err = (study / "report" / "problems.txt").read_text(), capsys.readouterr().err
    assert "Traceback" not in err
    for line in (
        f"unreadable ({len(bad)}):",
        "cannot be read",
        "has schema None, this losslab reads schemas 1 and 2",
        "has schema 99, this losslab reads schemas 1 and 2",
        "expected population/accuracy to be in [0, 1], got 7",
        "expected at least 2 classes, got 1",
        "expected streams to be whole numbers",
        "disagreeing (1):",
        "is left out: its population/accuracy is 0.5, against 0.",
        "repeated (1):",
        "mse, 4 classes: seed 4 not compared, as ce has none",
        "left out of a figure (2):",
    ):
        assert line in text
    page = (study / "report" / "report.html").read_text()
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "Disagreeing (1)" in page
    assert "<img" not in (study / "report" / "report.md").read_text()


def failing(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail, write nothing and say why in one line; return the line."""
    before = files(folder)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert files(folder) == before
    (line,) = err.splitlines()
    return line


def test_errors_name_the_argument_the_value_and_what_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_study(tmp_path / "hw4", seeds=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    a_file = tmp_path / "file"
    a_file.write_text("")
    nothing = tmp_path / "nothing"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "report").symlink_to(empty)
    for arguments, expected in (
        ([linked], f"--out: {linked / 'report'} is a link"),
        ([nothing], f"STUDY: {nothing} is not a folder; expected the folder of a study"),
        ([study, nothing], f"STUDY: {nothing} is not a folder"),
        ([a_file], f"STUDY: {a_file} is not a folder"),
        ([empty], f"STUDY: {empty} holds no completed run (expected folders such as"),
        ([study, "--metric", "accuracy"], "--metric: accuracy is in no run; expected one of train/loss, "),
        ([study, "--baseline", "bce"], "--baseline: bce matches 0 of the compared losses; expected one of ce"),
        ([study, "--out", a_file], f"--out: {a_file} is not a folder"),
        ([study, "--out", a_file / "x"], f"--out: cannot write to {a_file / 'x'}"),
    ):
        assert expected in failing(list(map(str, arguments)), tmp_path, capsys)


@pytest.mark.usefixtures("unsaved")
@pytest.mark.integration
def test_predictions_that_nobody_asked_for_are_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed in range(2):
        (write_run(tmp_path, "ce", seed=seed, whole=True, config={"predictions": False}) / PREDICTIONS).unlink()
        asked = write_run(tmp_path, "mse", seed=seed, whole=True, config={"predictions": True})
    assert main([str(tmp_path)]) == 0
    assert "2 of 4 runs left no predictions, because of predictions=false" in capsys.readouterr().out
    assert (tmp_path / "report" / "problems.txt").read_text() == "none\n"
    (asked / PREDICTIONS).unlink()
    assert main([str(tmp_path)]) == 0
    assert f"{asked / PREDICTIONS} is missing" in (tmp_path / "report" / "problems.txt").read_text()


def test_nothing_left_is_an_error_that_says_what_there_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path, seed=0, status=FAILED, error="the loss is NaN")
    (write_run(tmp_path, seed=1) / RESULTS).write_text("{")
    line = failing([str(tmp_path)], tmp_path, capsys)
    assert "holds no completed run (1 failed, 1 unreadable; the first: " in line
    assert "the loss is NaN" in line


@pytest.mark.integration
def test_command_line_never_imports_torch_and_is_plain_off_a_terminal(tmp_path: Path):
    write_study(tmp_path / "hw4", ("ce",), (2,), seeds=1)
    command = [sys.executable, "-X", "importtime", "-m", "scripts.aggregate", "hw4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, flags=re.MULTILINE))
    assert {"pandas", "matplotlib", "src.analysis.collect"} <= imported
    assert not {"torch", "lightning", "hydra", "src.data", "src.models", "src.losses", "src.training.module"} & imported
    assert "\x1b" not in done.stdout + done.stderr
    assert "Report: hw4/report" in done.stdout


def test_help_names_the_arguments(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("STUDY", "--out", "--metric", "--alpha", "--baseline"))
