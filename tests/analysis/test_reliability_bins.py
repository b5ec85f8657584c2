from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.analysis.collect import collect
from src.analysis.reliability_bins import read_reliability, reliability
from src.storage.schema import PREDICTIONS
from tests.analysis.studies import write_run, write_study


def test_bins_have_the_means_of_pandas():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0, 1, 500)
    right = rng.uniform(0, 1, 500) < sure
    found = reliability(sure, right)
    groups = pd.DataFrame({"sure": sure, "right": right}).groupby(
        pd.cut(sure, np.linspace(0, 1, 11), right=False), observed=False
    )
    np.testing.assert_array_equal(found.count, groups.size())
    np.testing.assert_allclose(found.confidence, groups["sure"].mean())
    np.testing.assert_allclose(found.accuracy, groups["right"].mean())
    gaps = (groups["sure"].mean() - groups["right"].mean()).abs()
    assert found.gap == pytest.approx((gaps * groups.size()).sum() / 500)


def test_the_test_samples_of_all_seeds_are_pooled(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=3, whole=True)]).completed
    found, problems = read_reliability(runs)
    assert problems == []
    assert set(found) == set(runs["fingerprint"])
    first = runs[runs["classes"] == 4].iloc[0]
    assert found[first["fingerprint"]].count.sum() == 3 * 64


def test_losses_without_probabilities_are_left_out(tmp_path: Path):
    runs = collect([write_study(tmp_path, seeds=2)]).completed
    assert read_reliability(runs) == ({}, [])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is missing"),
        ("x1,x2\n1,2\n", "lacks the column target, pred"),
        ("target,pred,p0\n0,0,1\n", "expected numbers in the columns p0 to p1"),
        ("target,pred,p0,p1\n0,0,a,b\n", "expected numbers in the columns p0 to p1"),
        ("target,pred,p0,p1\n0,2,0.5,0.5\n", "expected target and pred to be integers in"),
        ("target,pred,p0,p1\n0,0.5,0.5,0.5\n", "expected target and pred to be integers in"),
        ("target,pred,p0,p1\n0,0,7,0.5\n", "expected probabilities in [0, 1]"),
        ("target,pred,p0,p1\n0,0,,0.5\n", "expected probabilities in [0, 1]"),
        ("target,pred,p0,p1\n", "expected "),
    ],
)
def test_a_damaged_file_is_one_line_and_the_rest_is_read(tmp_path: Path, content: str | None, expected: str):
    write_run(tmp_path, seed=0, whole=True)
    path = write_run(tmp_path, seed=1, whole=True) / PREDICTIONS
    path.unlink() if content is None else path.write_text(content)
    found, problems = read_reliability(collect([tmp_path]).completed)
    assert [bins.count.sum() for bins in found.values()] == [32]
    (line,) = problems
    assert expected in line
    assert str(path) in line


def test_labels_with_names_have_the_bins_of_their_numbers(tmp_path: Path):
    for name, rename in (("numbers", False), ("names", True)):
        path = write_run(tmp_path / name, seed=0, whole=True) / PREDICTIONS
        if rename:
            table = pd.read_csv(path).replace({"target": {0: "NA", 1: "yes"}, "pred": {0: "NA", 1: "yes"}})
            table.rename(columns={"p0": "p_NA", "p1": "p_yes"}).to_csv(path, index=False)
    (numbers, _), (names, problems) = (
        read_reliability(collect([tmp_path / name]).completed) for name in ("numbers", "names")
    )
    assert problems == []
    for one, other in zip(numbers.values(), names.values(), strict=True):
        np.testing.assert_array_equal(other.count, one.count)
        np.testing.assert_array_equal(other.accuracy, one.accuracy)
        np.testing.assert_array_equal(other.confidence, one.confidence)


@pytest.mark.parametrize(
    "content", ["target,pred,correct,p_a\na,b,1,0.5\n", "target,pred,correct,p_a,p_b\na,c,1,0.5,0.5\n"]
)
def test_damaged_names_are_one_line(tmp_path: Path, content: str):
    (write_run(tmp_path, seed=0, whole=True) / PREDICTIONS).write_text(content)
    found, (line,) = read_reliability(collect([tmp_path]).completed)
    assert found == {}
    assert "expected" in line
