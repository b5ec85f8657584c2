import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from src.analysis.comparisons import BETTER, COLUMNS, LESS, NOT_TESTED, WORSE, Plan, compare_losses
from src.analysis.replicate import find_replicate
from src.statistics.intervals import difference_interval
from src.statistics.paired import difference_test
from tests.analysis.studies import COLLAPSED, make_runs

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
    return compare_losses(runs, metric, plan, find_replicate(runs))


def values(runs: pd.DataFrame, loss: str, classes: int) -> np.ndarray:
    return runs[(runs["loss"] == loss) & (runs["classes"] == classes)]["population/accuracy"].to_numpy()


def test_every_comparison_has_the_numbers_of_scipy_and_statsmodels():
    runs = study()
    table, lines = compare(runs)
    assert lines == []
    assert tuple(table.columns) == COLUMNS
    assert list(zip(table["loss"], table["classes"], strict=True)) == [
        (loss, classes) for loss in ("bce", "mse") for classes in (2, 4)
    ]
    for _, row in table.iterrows():
        a, b = (100 * values(runs, loss, row["classes"]) for loss in (row["loss"], "ce"))
        assert row["learned_difference"] == row["difference"] == pytest.approx(np.mean(a - b))
        assert row["learned_p"] == pytest.approx(difference_test(a - b))
        assert (row["learned_low"], row["learned_high"]) == pytest.approx(difference_interval(a - b))
        assert (row["learned_mean_loss"], row["mean_baseline"]) == pytest.approx((a.mean(), b.mean()))
        assert row["learned_sd"] == pytest.approx(np.std(a - b, ddof=1))
        assert row["learned_p_skewness"] == pytest.approx(stats.skewtest(a - b).pvalue)
        assert -100 <= row["low"] < row["difference"] < row["high"] <= 100
    assert set(table["family"]) == {4}
    assert set(table["collapsed_finding"]) == {NOT_TESTED}
    np.testing.assert_allclose(table["learned_p_holm"], multipletests(table["learned_p"], method="holm")[1])


def test_collapsed_seeds_are_counted_and_left_out_of_the_others():
    base = normal(1, n=20)
    mse, ce = base + 0.02 + normal(2, mean=0.0, n=20) / 10, base.copy()
    mse[0], ce[:9] = COLLAPSED, COLLAPSED
    table, _ = compare(make_runs({("mse", 4): mse, ("ce", 4): ce}))
    [row] = [row for _, row in table.iterrows()]
    assert (row["collapsed_n"], row["collapsed_loss"], row["collapsed_baseline"]) == (20, 1, 9)
    assert row["collapsed_difference"] == pytest.approx(-40)
    assert row["collapsed_p"] == pytest.approx(mcnemar([[1, 0], [8, 11]], exact=True).pvalue)
    assert (row["learned_n"], row["n"]) == (11, 20)
    assert row["learned_p"] == pytest.approx(difference_test(mse[9:] - ce[9:]))
    assert row["difference"] == pytest.approx(100 * (mse - ce).mean())
    assert row["family"] == 2
    adjusted = multipletests(row[["collapsed_p", "learned_p"]].astype(float), method="holm")[1]
    assert list(row[["collapsed_p_holm", "learned_p_holm"]]) == pytest.approx(list(adjusted))
    assert (row["collapsed_finding"], row["learned_finding"]) == (LESS, BETTER)


def test_seeds_without_a_known_collapse_count_in_neither_part():
    runs = study()
    runs.loc[(runs["seed"] < 5) & (runs["loss"] == "ce"), "train/decided_classes"] = np.nan
    table, _ = compare(runs)
    assert set(table["n"]) == {12}
    assert set(table["learned_n"]) == set(table["collapsed_n"]) == {7}
    table, _ = compare(runs.drop(columns="train/decided_classes"))
    assert set(table["learned_n"]) == set(table["collapsed_n"]) == {0}
    assert set(table["learned_finding"]) == {NOT_TESTED}


@pytest.mark.parametrize(("metric", "lower"), [("brier_calibration", True), ("log_loss", True), ("auroc", False)])
def test_a_metric_of_the_probabilities_has_its_direction(metric: str, lower: bool):
    runs = make_runs({(loss, 2): np.linspace(0.7, 0.8, 12) for loss in ("ce", "mse")})
    runs[f"test/{metric}"] = np.random.default_rng(0).normal(0.2, 0.01, len(runs)) + 0.1 * (runs["loss"] == "mse")
    [row] = compare(runs, f"test/{metric}", Plan("ce"))[0].to_dict("records")
    assert row["learned_finding"] == (WORSE if lower else BETTER)
    assert row["learned_difference"] == pytest.approx(0.1, abs=0.02)


def test_regret_is_the_mirror_of_accuracy_and_lower_is_better():
    runs = study()
    plan = Plan("ce", margin=2.0)
    accuracy, regret = compare(runs, plan=plan)[0], compare(runs, "population/regret", plan)[0]
    for part in ("learned_", "", "iqm_"):
        center = "iqm" if part == "iqm_" else f"{part}difference"
        for one, other in ((center, center), (f"{part}low", f"{part}high"), (f"{part}high", f"{part}low")):
            np.testing.assert_allclose(accuracy[one], -regret[other], atol=1e-9)
    for same in ("learned_p", "learned_p_holm", "learned_p_margin", "superiority", "superiority_low", "e_value"):
        np.testing.assert_allclose(accuracy[same], regret[same], atol=1e-9)
    for same in ("learned_finding", "learned_equivalent", "equivalent"):
        assert list(accuracy[same]) == list(regret[same])


def test_equivalence_is_tested_within_the_margin_in_the_same_family():
    base = np.linspace(0.6, 0.7, 200)
    runs = make_runs({("ce", 2): base, ("mse", 2): base + 0.001 * np.sin(np.arange(200))})
    (narrow, _), (wide, _) = (compare(runs, plan=Plan("ce", margin=margin)) for margin in (0.001, 20.0))
    assert not narrow["learned_equivalent"].any()
    assert not narrow["equivalent"].any()
    assert wide["learned_equivalent"].all()
    assert wide["equivalent"].all()
    assert set(wide["family"]) == {2}
    assert not compare(runs)[0][["learned_equivalent", "equivalent"]].any(axis=None)


def test_unequal_seeds_are_paired_on_the_common_ones_and_the_others_listed():
    runs = study()
    gone = ((runs["loss"] == "mse") & (runs["classes"] == 2) & runs["seed"].isin([3, 7, 8])) | (
        (runs["loss"] == "ce") & (runs["classes"] == 2) & (runs["seed"] == 0)
    )
    table, lines = compare(runs[~gone])
    row = table[(table["loss"] == "mse") & (table["classes"] == 2)].iloc[0]
    kept = [1, 2, 4, 5, 6, 9, 10, 11]
    assert row["n"] == 8
    assert row["difference"] == pytest.approx(100 * np.mean(values(runs, "mse", 2)[kept] - values(runs, "ce", 2)[kept]))
    assert "mse, 2 classes: seed 0 not compared, as ce has none" in lines
    assert "ce, 2 classes: seeds 3, 7-8 not compared, as mse has none" in lines


def test_one_seed_gives_a_difference_without_interval_and_no_test():
    table, _ = compare(study(n=1))
    assert table[["difference", "learned_difference"]].notna().all(axis=None)
    assert table[["learned_low", "learned_high", "learned_p", "learned_p_holm"]].isna().all(axis=None)
    assert set(table["learned_finding"]) == {NOT_TESTED}
    assert set(table["family"]) == {0}


def test_no_common_seed_is_a_row_without_numbers():
    runs = study()
    table, lines = compare(runs[(runs["seed"] < 6) == (runs["loss"] == "ce")])
    assert set(table["n"]) == {0}
    assert set(table["learned_finding"]) == {NOT_TESTED}
    assert len(lines) == 8


def test_settings_are_compared_within_themselves():
    runs = study().assign(**{"optimizer.lr": 0.1})
    other = runs.assign(**{"optimizer.lr": 0.2, "fingerprint": runs["fingerprint"] + "x"})
    columns = [*runs.columns[:8], "optimizer.lr", *runs.columns[8:-1]]
    table, _ = compare(pd.concat([runs, other], ignore_index=True)[columns])
    assert list(dict.fromkeys(table["setting"])) == ["lr=0.1", "lr=0.2"]
    assert set(table["family"]) == {8}


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
    replicate = find_replicate(runs)
    assert (replicate.stream, replicate.name, dict(replicate.others)) == (
        "seeds.data",
        "data seeds",
        {"seeds.init": 6, "seeds.shuffle": 3},
    )
    assert "n counts data seeds" in replicate.note
    row = compare(runs)[0].iloc[0]
    means = 100 * (runs[runs["loss"] == "mse"].groupby("seeds.data")["population/accuracy"].mean() - 0.6)
    assert (row["n"], row["learned_n"], row["collapsed_n"]) == (12, 12, 0)
    assert row["learned_p"] == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
