"""A sweep over experiment= is the sweep of each preset."""

import pytest

from scripts.plan.jobs import plan_sweep
from tests.commands import SHORT, parametrize, results

PRESET = """# @package _global_
study: {name}
hydra:
  mode: MULTIRUN
  sweeper:
    params: {{loss: "{losses}", seed: "range({seeds})"}}
"""


@pytest.fixture
def presets(tmp_path):
    """Return the flag for a folder with the presets one and two."""
    folder = tmp_path / "presets" / "experiment"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(PRESET.format(name="one", losses="ce,mse", seeds=1))
    (folder / "two.yaml").write_text(PRESET.format(name="two", losses="brier", seeds=2))
    return f"--config-dir={folder.parent}"


def found(folder):
    return sorted((content["study"], content["loss"], content["seed"]) for content in results(folder).values())


BOTH = [("one", "ce", 0), ("one", "mse", 0), ("two", "brier", 0), ("two", "brier", 1)]


@parametrize("word", ["experiment=one,two", "experiment=glob([one,tw*])"], quick=1)
def test_the_sweep_of_every_preset_runs_whole(word, presets, tmp_path, train):
    train(presets, *SHORT, "--multirun", word)
    assert found(tmp_path) == BOTH
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"one", "two"}


@pytest.mark.integration
def test_what_is_typed_has_precedence_over_every_preset(presets, tmp_path, train):
    train(presets, "--multirun", "experiment=one,two", "seed=7", "study=both", *SHORT)
    assert found(tmp_path) == [("both", loss, 7) for loss in ("brier", "ce", "mse")]


def test_nothing_trains_where_one_preset_is_wrong(presets, tmp_path, train):
    wrong = tmp_path / "presets" / "experiment" / "wrong.yaml"
    wrong.write_text(PRESET.format(name="wrong", losses="ce,focal", seeds=1).replace("study", "classes: 1\nstudy"))
    refused = train(presets, "--multirun", "experiment=one,wrong", *SHORT, code=1).err
    assert "`classes`" in refused
    assert not (tmp_path / "outputs").exists()


@parametrize("fail_fast, trained", [("false", BOTH[2:]), ("true", [])], quick=1)
def test_a_preset_that_fails_is_named_at_the_end(fail_fast, trained, presets, tmp_path, train):
    blocked = tmp_path / "presets" / "experiment" / "one.yaml"
    blocked.write_text(PRESET.format(name="one", losses="ce", seeds=1) + "optimizer: {lr: 1e29}\n")
    done = train(presets, "--multirun", "experiment=one,two", f"fail_fast={fail_fast}", *SHORT, code=1)
    last = done.err.strip().splitlines()[-1]
    assert last.startswith(f"{1 if trained else 2} of 2 sweeps did not finish: experiment=one")
    assert ("experiment=two (not started)" in last) == (not trained)
    assert "rerun: " in done.err
    assert "experiment=one,two" not in done.err.partition("rerun: ")[2].partition("\n")[0]
    assert [row for row in found(tmp_path) if row[0] == "two"] == trained


@pytest.mark.integration
def test_plan_counts_the_jobs_of_every_preset(hydra_restore_singletons):
    both = plan_sweep(["experiment=hw4,lecture"], workers=1)
    alone = [plan_sweep([f"experiment={name}"], workers=1) for name in ("hw4", "lecture")]
    assert len(both.conditions) == sum(len(sweep.conditions) for sweep in alone) == 11
    assert [len(batch.jobs) for batch in both.batches] == [len(b.jobs) for sweep in alone for b in sweep.batches]
