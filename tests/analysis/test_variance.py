import numpy as np
import pandas as pd
import pytest

from src.analysis.variance import decompose, find_design
from src.analysis.variance import test_set_sentence as sentence
from src.statistics.components import variance_components
from tests.analysis.studies import make_runs

SHAPE = (12, 6, 3)


def crossed(seed: int = 0, classes: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    effects = [rng.normal(0, sd, size) for sd, size in zip((0.02, 0.03, 0.01), SHAPE, strict=True)]
    values = 0.7 + sum(np.meshgrid(*effects, indexing="ij")) + rng.normal(0, 0.005, SHAPE)
    return make_runs({("ce", classes): values.ravel()}, crossed=SHAPE)


def with_tests(runs: pd.DataFrame, count: int = 32, seed: int = 1) -> pd.DataFrame:
    draws = np.random.default_rng(seed).binomial(count, runs["population/accuracy"]) / count
    return runs.assign(**{"test/accuracy": draws, "test/count": float(count)})


def part(table: pd.DataFrame, metric: str, source: str) -> float:
    row = table[(table["metric"] == metric) & (table["source"] == source)]
    return float(row["variance"].iloc[0])


def test_components_of_a_crossed_design_are_those_of_the_mean_squares():
    runs = crossed()
    design = find_design(runs, "population/accuracy")
    assert design.levels == {"data+split": 12, "init": 6, "shuffle": 3}
    assert design.dropped == ()
    table, lines = decompose(runs.sample(frac=1, random_state=0))
    expected = variance_components(design.values * 100, ("data+split", "init", "shuffle")).estimates
    for name, value in list(expected.items())[:-1]:
        assert part(table, "population/accuracy", name) == pytest.approx(value)
    assert part(table, "population/accuracy", "total") == pytest.approx(sum(expected.values()))
    assert lines == []


def test_seeds_of_missing_runs_are_left_out_and_named():
    runs = crossed()
    gone = (runs["seeds.data"] == 4) & (runs["seeds.init"] == 2) & (runs["seeds.shuffle"] == 1)
    design = find_design(runs[~gone], "population/accuracy")
    assert design.levels == {"data+split": 11, "init": 6, "shuffle": 3}
    assert design.dropped == ("data+split 4",)
    assert decompose(runs[~gone])[1] == [
        "ce, 2 classes, population/accuracy: data+split 4 left out, as some of their runs are missing"
    ]


@pytest.mark.parametrize("kept", [lambda runs: runs["seeds.init"] == 0, lambda runs: runs.index < 2])
def test_one_factor_is_no_crossed_design(kept):
    runs = crossed()
    runs = runs[kept(runs) & (runs["seeds.shuffle"] == 0)]
    assert find_design(runs, "population/accuracy") is None


def test_plain_seeds_are_one_source_and_the_test_set_is_the_binomial_part():
    rng = np.random.default_rng(0)
    runs = with_tests(make_runs({("ce", 2): rng.normal(0.7, 0.02, 400)}))
    table, _ = decompose(runs)
    accuracy = runs["population/accuracy"]
    assert part(table, "population/accuracy", "seed") == pytest.approx(1e4 * accuracy.var())
    assert part(table, "test/accuracy", "finite test set") == pytest.approx(
        1e4 * (accuracy * (1 - accuracy) / 32).mean()
    )
    measured = part(table, "test/accuracy", "total")
    assert measured == pytest.approx(
        part(table, "population/accuracy", "total") + part(table, "test/accuracy", "finite test set"), rel=0.15
    )
    assert "is sampling error of the finite test set" in sentence(table)


def test_what_cannot_be_known_is_not_said():
    assert sentence(decompose(crossed())[0]) is None
    one = with_tests(make_runs({("ce", 2): np.array([0.7])}))
    assert decompose(one)[0].empty
    assert sentence(decompose(one)[0]) is None
    same = with_tests(make_runs({("ce", 2): np.full(5, 0.7)})).assign(**{"test/accuracy": 0.75})
    assert sentence(decompose(same)[0]) is None


def test_a_test_set_that_explains_more_than_all_leaves_no_rest():
    runs = with_tests(make_runs({("ce", 2): np.linspace(0.69, 0.71, 5)}))
    few = runs.assign(**{"test/accuracy": [0.7, 0.71, 0.7, 0.69, 0.7]})
    expected = "Of the variance of test accuracy over runs, 100% is sampling error of the finite test set."
    assert sentence(decompose(few)[0]) == expected


def test_several_conditions_are_pooled_and_their_range_given():
    runs = pd.concat([with_tests(crossed(classes=2)), with_tests(crossed(1, classes=4))])
    assert "by condition" in sentence(decompose(runs)[0])
