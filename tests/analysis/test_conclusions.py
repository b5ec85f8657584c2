"""Conclusions of simulated studies with a known truth, and that no two statements contradict each other."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from src.analysis.collect import Collection
from src.analysis.comparisons import BETTER, LESS, MORE, NOT_SHOWN, WORSE, Plan, compare_losses, scale
from src.analysis.conclusions import answer, describe
from src.analysis.findings import Findings, find
from src.analysis.formatting import with_interval
from src.analysis.replicate import Replicate
from src.report.figures.differences import differences
from src.report.latex import latex_tables
from src.report.report_tables import comparison_table, overall_table
from src.report.tables import write_csv
from tests.analysis.studies import COLLAPSED, make_runs

PLAN = Plan("ce")
NUMBER = r"-?\d+(?:\.\d+)?"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out resampling, bets, numbers of seeds and the summary by condition, as no comparison rests on them."""
    monkeypatch.setattr("src.statistics.paired.interquartile_mean_interval", lambda *_: (0.0, 0.0, 0.0))
    monkeypatch.setattr("src.statistics.paired.betting_interval", lambda *_, **__: (-100.0, 100.0))
    monkeypatch.setattr("src.statistics.paired.e_value", lambda *_: 1.0)
    monkeypatch.setattr("src.analysis.comparisons.seeds_needed", lambda *_: 50)
    monkeypatch.setattr("src.analysis.findings.summarize", lambda *_: pd.DataFrame())
    monkeypatch.setattr("src.analysis.findings.decompose", lambda _: (pd.DataFrame({"source": []}), []))
    monkeypatch.setattr("src.report.latex._accuracy_table", lambda _: "")


def random_study(seed: int) -> tuple[pd.DataFrame, Plan]:
    """Return a study with a random number of losses, class counts and seeds, some of which collapse or are missing."""
    rng = np.random.default_rng(seed)
    n, counts = int(rng.choice([1, 2, 3, 5, 12, 25])), [2, 4][: int(rng.integers(1, 3))]
    values = {}
    for classes in counts:
        shared = rng.normal(0.7, 0.03, n)
        for loss in ("ce", "mse", "brier")[: int(rng.integers(2, 4))]:
            accuracy = shared + rng.choice([-0.03, 0.0, 0.0, 0.01]) + rng.choice([0.0, 0.01, 0.02]) * rng.normal(size=n)
            values[loss, classes] = np.where(rng.random(n) < rng.choice([0, 0, 0.1, 0.6]), COLLAPSED, accuracy)
    runs = make_runs(values)
    if rng.random() < 0.3:
        runs = runs[rng.random(len(runs)) < 0.9]
    if rng.random() < 0.1:
        runs = runs.drop(columns="train/decided_classes")
    return runs, Plan("ce" if "ce" in set(runs["loss"]) else runs["loss"].iloc[0], margin=rng.choice([None, 1.0]))


def compared(runs: pd.DataFrame, plan: Plan = PLAN) -> pd.DataFrame:
    return compare_losses(runs, "population/accuracy", plan, Replicate())[0]


def check(row: pd.Series, sentence: str, plan: Plan, cells: list[str], latex: str, filled: dict[str, bool]) -> None:
    """Check every pair of statements on one comparison."""
    learned, collapsed = row["learned_finding"], row["collapsed_finding"]
    different, collapses = learned in (BETTER, WORSE), collapsed in (MORE, LESS)
    assert different == bool(re.search(rf"{row['loss']} is \S+ points (better|worse)", sentence)), sentence
    assert different == filled["learned"] == cells[9].endswith(" *")
    assert collapses == (f"{row['loss']} collapses" in sentence) == filled["collapsed"] == cells[4].endswith(" *")
    assert latex.count("*") == different + collapses
    assert [collapsed, learned] == [cells[7], cells[13]]
    if different:
        assert row["learned_p"] <= row["learned_p_holm"] <= plan.alpha
        assert row["learned_low"] > 0 or row["learned_high"] < 0
        assert (learned == BETTER) == (row["learned_difference"] > 0) == (" better [" in sentence)
    elif learned == NOT_SHOWN:
        assert re.search(r"no difference in population accuracy is seen|do not differ at all", sentence)
    if collapses:
        assert (collapsed == MORE) == (row["collapsed_loss"] > row["collapsed_baseline"])
        assert f"collapses {collapsed}" in sentence
    if row["learned_equivalent"]:
        assert "equivalent within 1 point" in sentence
        assert abs(row["learned_difference"]) < 1
    if different or "is seen" in sentence:  # the numbers of the sentence are those of the table and of LaTeX
        shown = re.findall(NUMBER, re.search(r"both learned.*", sentence).group())
        interval = re.findall(NUMBER, cells[9])
        assert {number.removeprefix("-") for number in interval} <= {number.removeprefix("-") for number in shown}
        assert cells[9] in latex
    if row["collapsed_n"]:
        assert row["collapsed_n"] - row["learned_n"] >= max(row["collapsed_loss"], row["collapsed_baseline"])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("studies", [range(5), pytest.param(range(5, 505), marks=pytest.mark.integration)])
def test_no_two_statements_of_a_report_contradict_each_other(studies: range):
    statements = 0
    for seed in studies:
        runs, plan = random_study(seed)
        found: Findings = find(Collection(runs), "population/accuracy", plan)
        table = found.comparisons
        if table.empty:
            continue
        shown, overall = comparison_table(found), overall_table(found)
        latex = [line for line in latex_tables(found).split("tab:comparisons")[1].splitlines() if line.endswith(r" \\")]
        drawn = {part: differences(table, part) for part in ("learned", "collapsed")}
        order = table.reset_index(drop=True).sort_values("classes", kind="stable").index
        for rank, index in enumerate(order):
            row = table.iloc[index]
            filled = {part: rows[rank].different for part, rows in drawn.items()}
            sentence = describe(row, plan, found.replicate)
            check(row, sentence, plan, shown.rows[index], latex[1 + index], filled)
            assert overall.rows[index][2] == str(row["n"])
            if len(table) <= 3:
                assert sentence in found.answer
            statements += 1
        if len(table) > 3:
            claimed = int(table["learned_finding"].isin((BETTER, WORSE)).sum())
            assert f"{claimed or 'none'} of " in " ".join(found.answer)
    assert statements > len(studies)


@pytest.mark.integration
@pytest.mark.usefixtures("quick")
def test_studies_without_an_effect_rarely_claim_one():
    claimed = 0
    for seed in range(150):
        rng = np.random.default_rng([seed, 1])
        shared = rng.normal(0.7, 0.03, (2, 12))
        collapse = rng.random((2, 3, 12)) < 0.2  # independent of the loss
        values = {
            (loss, classes): np.where(collapse[i, j], COLLAPSED, shared[i] + rng.normal(0, 0.02, 12))
            for j, loss in enumerate(("ce", "a", "b"))
            for i, classes in enumerate((2, 4))
        }
        table = compared(make_runs(values))
        claimed += bool(
            table["learned_finding"].isin((BETTER, WORSE)).any() | table["collapsed_finding"].isin((MORE, LESS)).any()
        )
    assert claimed <= 15  # 5% of 150 is 7.5; more than 15 has a probability below 0.5%


def one(runs: pd.DataFrame, plan: Plan = PLAN) -> str:
    return describe(compared(runs, plan).iloc[0], plan, Replicate())


def test_the_sentences_of_each_case():
    base = np.linspace(0.6, 0.7, 20)
    wobble = 0.01 * np.sin(np.arange(20))
    assert re.fullmatch(
        r"At C = 2, where both learned \(in all of 20 seeds\), no difference in population accuracy is seen: "
        r"mse - ce = 0\.\d+ points \[-0\.\d+, 0\.\d+\]\.",
        one(make_runs({("ce", 2): base, ("mse", 2): base + wobble + 0.001})),
    )
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + wobble - 0.05}))
    assert re.search(r"mse is \d\.\d+ points worse \[4\.\d+, 5\.\d+\] in population accuracy \(p < 0\.001\)\.$", text)
    half = np.where(np.arange(20) < 3, COLLAPSED, base)
    assert re.fullmatch(
        r"At C = 4, ce collapsed on 3 of 20 seeds \[3, 38\]%, mse on none, which shows no difference in how often they "
        r"do \(p = 0\.250, corrected for 2 tests\); where both learned \(17 seeds\), mse is \d\.\d+ points worse .*",
        one(make_runs({("ce", 4): half, ("mse", 4): base + wobble - 0.05})),
    )
    most = np.where(np.arange(20) < 15, COLLAPSED, base)
    text = one(make_runs({("ce", 4): base, ("mse", 4): most}))
    assert "mse collapsed on 15 of 20 seeds [51, 91]%, ce on none, and mse collapses more often (p < 0.001" in text
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + wobble}), Plan("ce", margin=1.0))
    assert text.endswith("; they are equivalent within 1 point.")
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + wobble}), Plan("ce", margin=0.1))
    assert text.endswith("; neither a difference nor equivalence within 0.1 points is shown.")
    assert one(make_runs({("ce", 2): base, ("mse", 2): base})).endswith("mse and ce do not differ at all.")
    text = one(make_runs({("ce", 2): base[:1], ("mse", 2): base[:1] + 0.02}))
    assert text.endswith("(in all of 1 seed), mse and ce differ by 2.00 points, without an interval.")
    runs = make_runs({("ce", 2): base, ("mse", 2): base + wobble})
    assert one(runs[(runs["loss"] == "ce") == (runs["seed"] < 10)]) == "mse and ce have no common seed at C = 2."
    text = one(runs.drop(columns="train/decided_classes"))
    assert text.startswith("At C = 2, it is not recorded which seeds collapsed, so that only all 20 seeds together")
    text = one(make_runs({("ce", 4): np.full(20, COLLAPSED), ("mse", 4): base}))
    assert text.endswith("in none of 20 seeds both learned.")


def test_a_difference_that_does_not_survive_correction_is_none():
    rows = {(loss, 2): np.random.default_rng(index).normal(0.7, 0.02, 20) for index, loss in enumerate("bcdefghij")}
    rng = np.random.default_rng(3)
    base = rng.normal(0.7, 0.02, 20)
    table = compared(make_runs({("ce", 2): base, ("a", 2): base + rng.normal(0.012, 0.02, 20), **rows}))
    row = table[table["loss"] == "a"].iloc[0]
    assert row["learned_p"] < 0.05 < row["learned_p_holm"]
    assert re.search(
        r"is seen after correction \(p = 0.\d+, corrected for 10 tests\)", describe(row, Plan("ce"), Replicate())
    )


def test_the_documented_lines_compute_the_numbers_of_the_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    base = np.linspace(0.6, 0.7, 20)
    mse = base + 0.01 + 0.005 * np.sin(np.arange(20))
    runs = make_runs({("ce", 4): np.where(np.arange(20) < 3, COLLAPSED, base), ("mse", 4): mse})
    write_csv(runs, tmp_path / "runs.csv")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    lines, more = [block for block in re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL) if "read_csv" in block]
    assert len(lines.splitlines()) == 6  # the last one prints
    found: dict[str, Any] = {"np": np, "pd": pd, "stats": stats}
    exec(lines, found)  # noqa: S102 - the lines of the documentation
    capsys.readouterr()
    table = compared(runs)
    write_csv(table, tmp_path / "comparisons.csv")
    exec(more, found | {"proportion_confint": proportion_confint, "multipletests": multipletests})  # noqa: S102
    printed = [float(number) for number in re.findall(r"(?<![\w.])\d+\.\d+(?:e-\d+)?", capsys.readouterr().out)]
    names = ["collapsed_baseline_low", "collapsed_baseline_high", "collapsed_p_holm", "learned_p_holm"]
    assert printed == pytest.approx(list(table[names].iloc[0]), rel=1e-6)
    sentence = one(runs)
    assert f"ce collapsed on {found['collapsed']['ce'].sum()} of 20 seeds" in sentence
    assert f"where both learned ({len(found['d'])} seeds), mse is " in sentence
    ends = found["limits"].min(), found["limits"].max()
    assert with_interval(found["d"].mean(), *ends, " points better") in sentence


def test_skewed_differences_are_named_in_a_note():
    rng = np.random.default_rng(0)
    base = rng.normal(0.7, 0.02, 20)
    differences = {"ce": 0.0, "mse": rng.normal(0, 0.01, 20), "brier": rng.exponential(0.01, 20)}
    runs = make_runs({(loss, 2): base + each for loss, each in differences.items()})
    [note] = [note for note in find(Collection(runs), "population/accuracy", PLAN).notes if "skewed" in note]
    assert "for brier at C = 2 (D'Agostino's test, p < 0.01)." in note
    normal = find(Collection(runs[runs["loss"] != "brier"]), "population/accuracy", PLAN)
    assert not any("skewed" in note for note in normal.notes)


def test_an_answer_is_short_however_many_comparisons_there_are():
    rng = np.random.default_rng(1)
    values = {(loss, classes): rng.normal(0.7, 0.02, 12) for loss in ("ce", *"abcd") for classes in (2, 4)}
    for classes in (2, 4):
        values["a", classes] = values["ce", classes] + rng.normal(0.05, 0.005, 12)
    values["d", 2][:9] = COLLAPSED
    table = compared(make_runs(values))
    sentences = answer(table, "population/accuracy", Plan("ce"), Replicate())
    assert len(sentences) == 4
    assert sentences[0].startswith(
        "Seeds collapsed in 1 of 8 comparisons with ce: d collapses more often than ce at C = 2"
    )
    assert re.match(r"Where both learned, 2 of 8 comparisons with ce show a difference at alpha = 0.05", sentences[1])
    assert re.match(r"a is \d\.\d+ points better \[.*\] than ce at C = [24] and a is ", sentences[2])
    assert sentences[3].startswith("Where no difference is seen, the widest interval is [")


def test_nothing_to_compare_is_said():
    table = compared(make_runs({("ce", 2): np.array([0.5, 0.6])}))
    assert answer(table, "population/accuracy", Plan("ce"), Replicate()) == [
        "No other loss has runs with the class count, setting and seed of a run of ce: nothing is compared."
    ]


def test_points_are_only_spoken_of_where_there_are_any():
    assert scale("train/loss") == 1
    assert scale("population/regret") == 100
