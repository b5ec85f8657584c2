import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from src.analysis.comparisons import COLUMNS, Plan, compare_losses
from src.analysis.replication_unit import find_unit
from tests.analysis.studies import make_runs

PLAN = Plan("ce")


def normal(*key: int, mean: float = 0.7, n: int = 12) -> np.ndarray:
    return np.random.default_rng(key).normal(mean, 0.02, n)


def study(n: int = 12) -> pd.DataFrame:
    return make_runs(
        {(loss, classes): normal(i, classes, n=n) for i, loss in enumerate(("bce", "ce", "mse")) for classes in (2, 4)}
    )


def compare(
    runs: pd.DataFrame, metric: str = "population/accuracy", plan: Plan = PLAN
) -> tuple[pd.DataFrame, list[str]]:
    return compare_losses(runs, metric, plan, find_unit(runs))


def values(runs: pd.DataFrame, loss: str, classes: int) -> np.ndarray:
    return runs[(runs["loss"] == loss) & (runs["classes"] == classes)]["population/accuracy"].to_numpy()


def test_every_comparison_has_the_numbers_of_scipy_and_statsmodels():
    runs = study()
    table, lines = compare(runs)
    assert lines == []
    assert tuple(table.columns) == COLUMNS
    assert list(zip(table["loss"], table["classes"], strict=True)) == [
        (loss, classes) for loss in ("bce", "mse") for classes in ("2", "4", "2+4")
    ]
    single = table[table["classes"] != "2+4"]
    for _, row in single.iterrows():
        a, b = (100 * values(runs, loss, int(row["classes"])) for loss in (row["loss"], "ce"))
        test = stats.ttest_rel(a, b)
        assert row["difference"] == pytest.approx(np.mean(a - b))
        assert row["p_t"] == pytest.approx(test.pvalue)
        assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()))
        assert (row["mean_loss"], row["mean_baseline"]) == pytest.approx((a.mean(), b.mean()))
        assert row["sd_difference"] == pytest.approx(np.std(a - b, ddof=1))
    assert set(single["family"]) == {4}
    np.testing.assert_allclose(single["p_holm"], multipletests(single["p_t"], method="holm")[1])


def test_the_contrast_is_the_mean_over_class_counts_of_each_seed():
    runs = study()
    table, _ = compare(runs)
    row = table[(table["loss"] == "mse") & (table["classes"] == "2+4")].iloc[0]
    gaps = [100 * (values(runs, "mse", classes) - values(runs, "ce", classes)) for classes in (2, 4)]
    test = stats.ttest_1samp(np.mean(gaps, axis=0), 0)
    assert (row["difference"], row["p_t"]) == pytest.approx((np.mean(gaps), test.pvalue))
    assert row["family"] == 2


def test_regret_is_the_mirror_of_accuracy_and_lower_is_better():
    runs = study()
    accuracy, regret = compare(runs)[0], compare(runs, "population/regret")[0]
    for one, other in (("difference", "difference"), ("low", "high"), ("high", "low"), ("bca_low", "bca_high")):
        np.testing.assert_allclose(accuracy[one], -regret[other], atol=1e-9)
    for same in ("p_t", "p_holm", "superiority", "superiority_low", "d_z"):
        np.testing.assert_allclose(accuracy[same], regret[same], atol=1e-9)
    assert list(accuracy["verdict"]) == list(regret["verdict"])


def test_unequal_seeds_are_paired_on_the_common_ones_and_the_others_listed():
    runs = study()
    gone = ((runs["loss"] == "mse") & (runs["classes"] == 2) & runs["seed"].isin([3, 7, 8])) | (
        (runs["loss"] == "ce") & (runs["classes"] == 2) & (runs["seed"] == 0)
    )
    table, lines = compare(runs[~gone])
    row = table[(table["loss"] == "mse") & (table["classes"] == "2")].iloc[0]
    kept = [1, 2, 4, 5, 6, 9, 10, 11]
    assert row["n"] == 8
    assert row["difference"] == pytest.approx(100 * np.mean(values(runs, "mse", 2)[kept] - values(runs, "ce", 2)[kept]))
    assert "mse, 2 classes: seed 0 not compared, as ce has none" in lines
    assert "ce, 2 classes: seeds 3, 7-8 not compared, as mse has none" in lines
    contrast = table[(table["loss"] == "mse") & (table["classes"] == "2+4")].iloc[0]
    assert contrast["n"] == 8


def test_one_seed_gives_a_difference_without_interval_and_no_test():
    table, _ = compare(study(n=1))
    assert table["difference"].notna().all()
    assert table[["low", "high", "p_t", "p_holm", "power"]].isna().all(axis=None)
    assert not table["different"].any()
    assert set(table["family"]) == {0}


def test_no_common_seed_is_a_row_without_numbers():
    runs = study()
    table, lines = compare(runs[(runs["seed"] < 6) == (runs["loss"] == "ce")])
    assert set(table["n"]) == {0}
    assert not table["different"].any()
    assert len(lines) == 8


def test_settings_are_compared_within_themselves():
    runs = study().assign(**{"optimizer.lr": 0.1})
    other = runs.assign(**{"optimizer.lr": 0.2, "fingerprint": runs["fingerprint"] + "x"})
    columns = [*runs.columns[:8], "optimizer.lr", *runs.columns[8:-1]]
    table, _ = compare(pd.concat([runs, other], ignore_index=True)[columns])
    assert list(dict.fromkeys(table["setting"])) == ["lr=0.1", "lr=0.2"]
    assert set(table[table["classes"] != "2+4"]["family"]) == {8}


def test_one_loss_alone_is_compared_with_nothing():
    table, lines = compare(make_runs({("ce", 2): normal(1)}))
    assert table.empty
    assert tuple(table.columns) == COLUMNS
    assert lines == []


def test_runs_of_a_crossed_design_count_once_a_data_seed():
    rng = np.random.default_rng(0)
    data = np.repeat(rng.normal(0, 0.02, 12), 18)
    runs = make_runs(
        {("ce", 2): 0.6 + 0 * data, ("mse", 2): 0.6 + data + rng.normal(0, 0.001, 216)}, crossed=(12, 6, 3)
    )
    unit = find_unit(runs)
    assert (unit.stream, unit.name, dict(unit.others)) == (
        "seeds.data",
        "data seeds",
        {"seeds.init": 6, "seeds.shuffle": 3},
    )
    assert "n counts data seeds" in unit.note
    row = compare(runs)[0].iloc[0]
    means = 100 * (runs[runs["loss"] == "mse"].groupby("seeds.data")["population/accuracy"].mean() - 0.6)
    assert row["n"] == 12
    assert row["p_t"] == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
