from pathlib import Path

import numpy as np

from src.analysis.collapse import collapse_sentences, collapsed_runs, kaiming_commands
from src.analysis.collect import collect
from tests.analysis.studies import make_runs, write_collapsed, write_run


def test_a_run_without_the_metric_is_unknown(tmp_path: Path):
    write_run(tmp_path, seed=0)
    write_collapsed(tmp_path, seed=1)
    write_run(tmp_path, seed=2, metrics={"test/accuracy": 0.5})
    runs = collect([tmp_path]).runs
    np.testing.assert_array_equal(collapsed_runs(runs), [0, 1, np.nan])
    assert collapsed_runs(runs.drop(columns="train/decided_classes")).isna().all()
    known, unknown = collapse_sentences(runs)
    assert known.startswith("1 of 2 networks make one and the same decision")
    assert "from epoch 3 on at the earliest and 3 at the latest" in known
    assert unknown.startswith("1 of 3 runs were trained by an older losslab")


def test_nothing_is_said_where_all_seeds_learned():
    assert collapse_sentences(make_runs({("ce", 2): np.array([0.7, 0.8])})) == []


def test_the_cure_repeats_the_conditions_with_collapsed_seeds_elsewhere(tmp_path: Path):
    for seed in (0, 1):
        write_run(tmp_path / "a", "mse", seed=seed, overrides=["loss=mse", f"seed={seed}"])
        write_collapsed(tmp_path / "a", "ce", seed=seed, overrides=["loss=ce", f"seed={seed}"])
        kaiming = {"model": {"init": "kaiming"}}
        write_collapsed(tmp_path / "b", "ce", seed=seed, overrides=["loss=ce"], config=kaiming)
    command = "python -m src.train --multirun loss=ce seed=0,1 model.init=kaiming study=a_kaiming"
    assert kaiming_commands(collect([tmp_path / "a", tmp_path / "b"]).results) == [command]
    assert kaiming_commands(collect([tmp_path / "b"]).results) == []
