import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from tests.commands import SHORT, results

pytest.importorskip("optuna", minversion="4")

from optuna.distributions import (  # after the line that skips without Optuna
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hydra_plugins.tune_sweeper._space import distributions, first_value

TUNE = (
    *("--multirun", "experiment=tuned", "loss=mse,ce", "classes=2", "seed=0,1", *SHORT, "model=linear"),
    *("hydra.sweeper.n_trials=2", "hydra.sweeper.seeds='5,6'", "hydra/launcher=basic"),
)


@pytest.mark.integration
def test_each_condition_runs_untuned_and_tuned_and_resumes(train, tmp_path: Path) -> None:
    train(*TUNE)
    trials, scores = results(tmp_path / "outputs" / "tuned-tuning"), defaultdict(list)
    assert len(trials) == 2 * 2 * 2
    for (_, seed), content in trials.items():
        assert seed in (5, 6)
        lr = content["config"]["optimizer"]["lr"]
        assert 0.0005 <= lr <= 0.05
        scores[content["loss"], lr].append(content["metrics"]["population/accuracy"])
    reported = results(tmp_path / "outputs" / "tuned")
    rates = {(content["loss"], content["config"]["tuned"] is not None): content["config"]["optimizer"]["lr"]
             for content in reported.values()}  # fmt: skip
    assert sorted(seed for _, seed in reported) == [0] * 4 + [1] * 4
    for loss in ("mse", "ce"):
        means = {lr: fmean(values) for (name, lr), values in scores.items() if name == loss}
        assert rates[loss, False] == 0.005
        assert means[rates[loss, True]] == max(means.values())

    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/*/*/*/results.json")}
    train(*TUNE)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/*/*/*/results.json")} == written

    findings = find(collect([tmp_path / "outputs" / "tuned"]), "population/accuracy", Plan("ce"))
    assert set(findings.comparisons["setting"]) == {"lr=0.005", "tuned=optimizer.lr"}  # each with its baseline
    assert f"optimizer.lr = {rates['ce', True]:.4g} for ce at C = 2" in " ".join(findings.notes)


@pytest.mark.integration
def test_a_job_may_return_a_metric_of_the_validation_split(train, tmp_path: Path) -> None:
    train(*TUNE, "data.val_fraction=0.2", "optimized_metric=val/accuracy", "loss=ce")
    [best] = json.loads((tmp_path / "outputs" / "tuned-tuning" / "tuning.json").read_text()).values()
    trials = results(tmp_path / "outputs" / "tuned-tuning").values()
    mine = [
        each["metrics"]["val/accuracy"]
        for each in trials
        if each["config"]["optimizer"]["lr"] == best["params"]["optimizer.lr"]
    ]
    assert best["value"] == pytest.approx(fmean(mine))
    assert best["trials"] == 2


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("tag(log, interval(0.001, 0.1))", FloatDistribution(0.001, 0.1, log=True)),
        ("interval(1, 2)", FloatDistribution(1, 2)),
        ("tag(int, interval(1, 8))", IntDistribution(1, 8)),
        ("range(1, 8, 3)", IntDistribution(1, 7, step=3)),
        ("range(0.5, 2, 0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("0.1,0.2", CategoricalDistribution([0.1, 0.2])),
        ("[1,2],[3]", CategoricalDistribution(["[1,2]", "[3]"])),
    ],
)
def test_a_space_in_hydras_grammar_is_optunas(sweep: str, expected: BaseDistribution) -> None:
    space = distributions(OverridesParser.create(), {"optimizer.lr": sweep})
    assert space == {"optimizer.lr": expected}
    assert expected._contains(expected.to_internal_repr(first_value(space["optimizer.lr"])))


@pytest.mark.parametrize("sweep", ["0.1", "tag(log, interval(0, 1))", "interval(2, 1)", "interval(a, b)", "1,"])
def test_a_space_without_a_choice_is_refused_by_name(sweep: str) -> None:
    with pytest.raises(CompactHydraException, match=re.escape("`hydra.sweeper.space` to give optimizer.lr")) as error:
        distributions(OverridesParser.create(), {"optimizer.lr": sweep})
    assert str(error.value).endswith(f"got {sweep}.")
