from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from src.analysis.collect import collect
from src.analysis.summary import median_run, summarize
from src.storage.schema import FAILED
from tests.analysis.studies import write_collapsed, write_run, write_study


def test_a_row_a_condition_with_the_numbers_of_numpy_and_scipy(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=7)]).runs
    summary = summarize(runs)
    assert list(zip(summary["label"], summary["classes"], strict=True)) == [
        ("ce", 2),
        ("ce", 4),
        ("mse", 2),
        ("mse", 4),
    ]
    assert list(summary["n"]) == [7] * 4
    for _, row in summary.iterrows():
        mine = runs[runs["fingerprint"] == row["fingerprint"]]
        for metric in ("test/accuracy", "population/accuracy"):
            values = np.array(mine[metric].tolist())
            interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
            expected = {
                "n": 7,
                "mean": np.mean(values),
                "sd": np.std(values, ddof=1),
                "median": np.median(values),
                "q1": np.quantile(values, 0.25),
                "q3": np.quantile(values, 0.75),
                "min": np.min(values),
                "max": np.max(values),
                "low": interval.low,
                "high": interval.high,
            }
            assert {name: row[f"{metric} {name}"] for name in expected} == pytest.approx(expected, rel=1e-12)
        assert row["population/regret mean"] == pytest.approx(row["bayes/accuracy"] - row["population/accuracy mean"])
        assert row["bayes/accuracy"] == {2: 0.75, 4: 0.625}[row["classes"]]


def test_collapsed_runs_are_counted_among_those_that_record_it(tmp_path: Path):
    for seed in range(7):
        write = write_collapsed if seed in (2, 5) else write_run
        write(tmp_path, seed=seed)
    write_run(tmp_path, seed=7, metrics={"test/accuracy": 0.5})  # as an older losslab left it
    write_run(tmp_path, "mse", metrics={"test/accuracy": 0.5})
    summary = summarize(collect([tmp_path]).runs).set_index("label")
    assert list(summary["n"]) == [8, 1]
    assert list(summary["collapsed"]) == [2, 0]
    assert list(summary["collapsed n"]) == [7, 0]
    ends = stats.beta.ppf(0.025, 2, 6), stats.beta.ppf(0.975, 3, 5)
    assert tuple(summary.loc["ce", ["collapsed low", "collapsed high"]]) == pytest.approx(ends)
    assert summary.loc["mse", ["collapsed low", "collapsed high"]].isna().all()
    assert summary.loc["ce", ["test/accuracy low", "test/accuracy high"]].isna().all()  # of a mixture


def test_failed_runs_are_counted_but_not_averaged(tmp_path: Path):
    write_run(tmp_path, seed=0, metrics={"test/accuracy": 0.5})
    write_run(tmp_path, seed=1, status=FAILED, error="NaN")
    write_run(tmp_path, "mse", seed=0, status=FAILED, error="NaN")
    summary = summarize(collect([tmp_path]).runs).set_index("label")
    assert list(summary["n"]) == [1, 0]
    assert list(summary["failed"]) == [1, 1]
    assert summary.loc["ce", "test/accuracy mean"] == 0.5
    assert summary.loc[["mse"], ["test/accuracy mean", "test/accuracy low", "test/accuracy q1"]].isna().all(axis=None)


def test_one_seed_has_neither_sd_nor_interval(tmp_path: Path):
    write_run(tmp_path)
    row = summarize(collect([tmp_path]).runs).iloc[0]
    assert row["test/accuracy mean"] == row["test/accuracy median"] == row["test/accuracy max"]
    assert row[["test/accuracy sd", "test/accuracy low", "test/accuracy high"]].isna().all()


def test_missing_metrics_leave_no_columns_or_do_not_count(tmp_path: Path):
    write_run(tmp_path, seed=0, metrics={"test/accuracy": 0.25})
    assert not [name for name in summarize(collect([tmp_path]).runs) if "population" in name or "bayes" in name]
    write_run(tmp_path, seed=1, metrics={"test/accuracy": 0.75, "population/accuracy": 0.5})
    row = summarize(collect([tmp_path]).runs).iloc[0]
    assert (row["test/accuracy n"], row["population/accuracy n"], row["population/accuracy mean"]) == (2, 1, 0.5)


def test_other_metrics_and_settings_are_carried(tmp_path: Path):
    write_run(tmp_path, config={"optimizer": {"lr": 0.1}})
    write_run(tmp_path, config={"optimizer": {"lr": 0.2}})
    summary = summarize(collect([tmp_path]).runs, ["test/loss"])
    assert list(summary["optimizer.lr"]) == [0.1, 0.2]
    assert list(summary["test/loss mean"]) == [0.4, 0.4]


@pytest.mark.parametrize(
    ("values", "seed"), [([0.5], 0), ([0.3, 0.1, 0.2], 2), ([0.4, 0.1, 0.3, 0.2], 3), ([0.5, 0.5, 0.5], 1)]
)
def test_median_run_is_in_the_middle(values: list[float], seed: int):
    runs = pd.DataFrame({"seed": range(len(values)), "population/accuracy": values, "test/accuracy": 0.0})
    assert median_run(runs, "population/accuracy")["seed"] == seed


def test_median_run_falls_back_on_the_test_accuracy_then_on_the_seed():
    runs = pd.DataFrame({"seed": [0, 1, 2], "test/accuracy": [0.9, 0.1, 0.5], "population/accuracy": np.nan})
    assert median_run(runs, "population/accuracy")["seed"] == 2
    assert median_run(runs[["seed"]], "population/accuracy")["seed"] == 1
