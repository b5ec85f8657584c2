import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from src.analysis.collect import collect
from src.analysis.summary import summarize
from src.report.tables import summary_table, write_csv
from src.storage.spreadsheet import escape_formula
from tests.analysis.studies import write_run, write_study


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_begins_like_a_formula_is_quoted(start: str, tmp_path: Path):
    table = pd.DataFrame({"label": [f"{start}cmd()", "ok"], "value": [-1.5, 2.0], f"{start}column": ["a", "b"]})
    write_csv(table, tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv")
    assert list(back["value"]) == [-1.5, 2.0]
    assert back["label"][0].startswith("'")
    assert list(back.columns)[2].startswith("'")
    assert escape_formula(f"{start}1").startswith("'")


def test_csv_keeps_numbers_exactly_and_leaves_gaps_empty(tmp_path: Path):
    table = pd.DataFrame({"a": [0.1 + 0.2, float("nan")], "b": [1, 2], "c": ["x,\ny", 'say "=1"']})
    write_csv(table, tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(back, table, check_dtype=False, check_exact=True)


def rendered(summary: pd.DataFrame, metrics: list[str]) -> str:
    console = Console(file=io.StringIO(), width=160, markup=False)
    console.print(summary_table(summary, metrics))
    return console.file.getvalue()


def test_console_table_shows_mean_sd_and_interval(tmp_path: Path):
    summary = summarize(collect([write_study(tmp_path, seeds=4)]).runs)
    text = rendered(summary, ["test/accuracy", "population/accuracy"])
    for _, row in summary.iterrows():
        metric = "population/accuracy"
        mean, sd, low, high = (row[f"{metric} {part}"] for part in ("mean", "sd", "low", "high"))
        assert f"{mean:.3f} ({sd:.3f}) [{low:.3f}, {high:.3f}]" in text
    assert "0.750" in text
    assert "regret" in text


def test_console_table_copes_with_one_seed_no_distribution_and_odd_names(tmp_path: Path):
    write_run(tmp_path, "[red]<b>:smile:", metrics={"test/accuracy": 0.5})
    text = rendered(summarize(collect([tmp_path]).runs), ["test/accuracy"])
    assert "[red]<b>:smile:" in text
    assert "0.500" in text
    assert "(" not in text.splitlines()[-2]
    assert "bayes" not in text
