"""Conclusions of simulated studies with a known truth."""

import re

import numpy as np
import pandas as pd
import pytest

from src.analysis import comparisons
from src.analysis.comparisons import Plan, compare_losses
from src.analysis.conclusions import answer, describe
from src.analysis.replication_unit import Unit
from tests.analysis.studies import make_runs

LOSSES, COUNTS = ("ce", "a", "b", "c", "d"), (2, 4)
CLAIM = re.compile(r"a difference at \d+ seeds|[1-9]\d* of \d+ comparisons with ce show")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither resample nor look for numbers of seeds, as no claim rests on them."""
    monkeypatch.setattr("src.statistics.paired.bca_interval", lambda *_: (0.0, 0.0))
    monkeypatch.setattr("src.statistics.paired.sign_flip_test", lambda *_: (1.0, True))
    monkeypatch.setattr("src.analysis.comparisons.seeds_needed", lambda *_: 50)


def study(seed: int, effect: float = 0.0, n: int = 12, losses: tuple[str, ...] = LOSSES) -> pd.DataFrame:
    """Simulate a study in which ``a`` is better than the others by ``effect``."""
    rng = np.random.default_rng([seed, n])
    shared = {classes: rng.normal(0.7, 0.03, n) for classes in COUNTS}
    return make_runs(
        {
            (loss, classes): shared[classes] + rng.normal(effect if loss == "a" else 0.0, 0.02, n)
            for loss in losses
            for classes in COUNTS
        }
    )


def compared(runs: pd.DataFrame) -> pd.DataFrame:
    return compare_losses(runs, "population/accuracy", Plan("ce"), Unit())[0]


def claims(sentences: list[str]) -> bool:
    text = " ".join(sentences).replace("no evidence of a difference at", "")
    return bool(CLAIM.search(text))


@pytest.mark.integration
@pytest.mark.usefixtures("quick")
def test_studies_without_an_effect_rarely_claim_one():
    claimed = 0
    for seed in range(30):
        table = compared(study(seed))
        family = table[table["classes"].str.isdecimal()]
        said = claims(answer(family, "population/accuracy", Plan("ce"), Unit()))
        assert said == bool(family["different"].any())
        claimed += said
    assert claimed <= 5  # 5% of 30 is 1.5; more than 5 has a probability below 1%


@pytest.mark.usefixtures("quick")
def test_studies_with_an_effect_find_it_and_name_the_right_loss_and_side():
    found = wrong = 0
    for seed in range(10):
        table = compared(study(seed, effect=0.05, losses=("ce", "a", "b")))
        for _, row in table.iterrows():
            text = describe(row, Unit())
            if row["loss"] == "a":
                found += "a is" in text and "above ce" in text
                assert "below ce" not in text
            elif claims([text]):
                wrong += 1
    assert found >= 27  # of 30
    assert wrong <= 4


@pytest.mark.usefixtures("quick")
def test_no_sentence_claims_what_its_interval_does_not_exclude():
    for seed, effect in ((seed, effect) for seed in range(3) for effect in (0.0, 0.01, 0.03)):
        for _, row in compared(study(seed, effect)).iterrows():
            if claims([describe(row, Unit())]):
                assert row["p_holm"] <= 0.05
                assert row["low"] > 0 or row["high"] < 0


def one(runs: pd.DataFrame, classes: str = "2") -> str:
    table = compared(runs)
    return describe(table[table["classes"] == classes].iloc[0], Unit())


def test_the_sentences_of_each_case():
    base = np.linspace(0.6, 0.7, 20)
    wobble = 0.01 * np.sin(np.arange(20))
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + wobble + 0.001}))
    assert re.fullmatch(
        r"mse and ce differ by 0\.\d+ points \[-0\.\d+, 0\.\d+\] at C = 2: no evidence of a difference at 20 seeds; "
        r"\d+ are enough to detect one point",
        text,
    )
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + 10 * wobble}))
    assert re.search(r"; \d+ would be needed to detect one point$", text)
    text = one(make_runs({("ce", 2): base, ("mse", 2): base + wobble - 0.05}))
    assert re.match(r"mse is \d\.\d+ points \[4\.\d+, 5\.\d+\] below ce at C = 2: a difference at 20 seeds", text)
    assert "P(mse better) = 0.00" in text
    assert one(make_runs({("ce", 2): base, ("mse", 2): base})) == "mse and ce do not differ at C = 2 in any of 20 seeds"
    text = one(make_runs({("ce", 2): base[:1], ("mse", 2): base[:1] + 0.02}))
    assert text == "mse and ce differ by 2.00 points at C = 2 in their one common seed: no interval"
    runs = make_runs({("ce", 2): base, ("mse", 2): base})
    apart = runs[(runs["loss"] == "ce") == (runs["seed"] < 10)]
    assert one(apart) == "mse and ce have no common seed at C = 2"


def test_a_difference_that_does_not_survive_correction_is_none():
    rows = {(loss, 2): np.random.default_rng(index).normal(0.7, 0.02, 20) for index, loss in enumerate("bcdefghij")}
    rng = np.random.default_rng(3)
    table = compared(
        make_runs(
            {("ce", 2): (base := rng.normal(0.7, 0.02, 20)), ("a", 2): base + rng.normal(0.011, 0.02, 20), **rows}
        )
    )
    row = table[table["loss"] == "a"].iloc[0]
    assert row["p_t"] < 0.05 < row["p_holm"]
    assert "no evidence of a difference at 20 seeds (p = " in describe(row, Unit())
    assert "corrected for 10 comparisons" in describe(row, Unit())


def test_an_answer_is_short_however_many_comparisons_there_are():
    table = compared(study(1, effect=0.05))
    sentences = answer(table, "population/accuracy", Plan("ce"), Unit())
    assert len(sentences) == 4
    assert re.match(
        r"On population accuracy, 2 of 8 comparisons with ce show a difference at alpha = 0.05", sentences[0]
    )
    assert re.match(r"a is \d\.\d points \[.*\] above ce at C = [24] and a is ", sentences[1])
    assert re.search(r"the widest interval is \[.*\], of c at C = 2 on 12 seeds; ", sentences[2])
    assert re.match(r"Over class counts: a is .* above ce on the mean over C = 2 and 4\.$", sentences[3])
    few = compared(study(1, losses=("ce", "a")))
    assert len(answer(few, "population/accuracy", Plan("ce"), Unit())) == 3


def test_nothing_to_compare_is_said():
    table = compared(make_runs({("ce", 2): np.array([0.5, 0.6])}))
    assert answer(table, "population/accuracy", Plan("ce"), Unit()) == [
        "No other loss has runs with the class count, setting and seed of a run of ce: nothing is compared."
    ]


def test_points_are_only_spoken_of_where_there_are_any():
    assert comparisons.scale("train/loss") == 1
    assert comparisons.scale("population/regret") == 100
