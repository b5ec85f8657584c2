from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from src.experiments import load_run, load_study, run
from src.experiments.api import _override
from src.experiments.runner import FailedSeedsError
from src.storage.schema import ArtifactError
from src.utils.validation import SettingsError
from tests.commands import SHORT

SMALL: dict[str, Any] = {
    "data": {"samples_per_class": 10},
    "trainer": {"max_epochs": 2},
    "figures": "none",
    "export": "none",
}


def test_run_leaves_what_the_command_leaves(tmp_path: Path, train: Any) -> None:
    runs = run(*SHORT, loss="mse", classes=3, seed=[0, 4], output_dir=tmp_path / "api")
    train(*SHORT, "loss=mse", "classes=3", "seed=[0,4]")
    typed = load_study(tmp_path / "outputs" / "runs")
    assert runs["seed"].tolist() == [0, 4]
    compared = [name for name in runs.columns if name not in ("seconds", "folder")]
    pd.testing.assert_frame_equal(runs[compared], typed[compared])
    for folder, other in zip(runs["folder"], typed["folder"], strict=True):
        mine, theirs = (torch.load(Path(each) / "checkpoint.ckpt", weights_only=True) for each in (folder, other))
        assert all(torch.equal(value, theirs["state_dict"][name]) for name, value in mine["state_dict"].items())


def test_run_trains_only_what_is_missing(tmp_path: Path) -> None:
    first = run(seed=[0, 1], output_dir=tmp_path, **SMALL)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}
    second = run(seed=[0, 1, 2], output_dir=tmp_path, **SMALL)
    assert len(first) == 2
    assert second["seed"].tolist() == [0, 1, 2]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_loaded_run_reproduces_its_metrics_and_predictions(tmp_path: Path) -> None:
    runs = run(loss="ce", classes=3, seed=5, output_dir=tmp_path, **SMALL)
    loaded = load_run(runs["folder"][0])
    assert loaded.recompute_metrics() == loaded.metrics
    assert loaded.history["epoch"].tolist() == [1, 2]
    again = loaded.predict(loaded.predictions[["x1", "x2"]])
    pd.testing.assert_series_equal(again["pred"], loaded.predictions["pred"])
    assert loaded.network(torch.zeros(4, 2)).shape == (4, 3)


@pytest.mark.parametrize(
    ("settings", "error", "name"),
    [
        ({"classes": 1}, SettingsError, "classes"),
        ({"loss": "nonsense"}, ValueError, "loss"),
        ({"trainer": {"max_epoch": 3}}, ValueError, "trainer.max_epoch"),
    ],
)
def test_a_wrong_setting_is_named_and_writes_nothing(
    settings: dict[str, Any], error: type[Exception], name: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=f"Expected `{name}`"):
        run(output_dir=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("+data.x={_target_:planted.f}", "data.x._target_"),
        ("+hydra.callbacks.x._target_=planted.f", "hydra.callbacks.x._target_"),
        ("hydra.searchpath=[pkg://planted]", "hydra.searchpath"),
        ("hydra.sweep.subdir=../x", "hydra.sweep.subdir"),
    ],
)
def test_what_no_command_may_set_is_refused_here_too(word: str, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "planted.py").write_text("raise SystemExit", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=f"Expected `{name}`"):
        run(word, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_failed_seeds_raise(tmp_path: Path) -> None:
    with pytest.raises(FailedSeedsError, match="1 of 1 seeds"):
        run(loss="mse", optimizer="sgd", output_dir=tmp_path, **SMALL | {"data": {"samples_per_class": 10}},
            **{"optimizer.lr": 1e20})  # fmt: skip
    assert load_study(tmp_path / "runs")["status"].tolist() == ["failed"]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no results\.json"):
        load_run(tmp_path)
    with pytest.raises(ArtifactError, match="missing"):
        load_study(tmp_path / "missing")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (range(3), ["x=[0,1,2]"]),
        ("ce", ["x=ce"]),
        ("a b,c", ["x='a b,c'"]),
        ("true", ["x='true'"]),
        ("Null", ["x='Null'"]),
        (None, ["x=null"]),
        (True, ["x=true"]),
        (0.5, ["x=0.5"]),
        ({"a": 1, "b": {"c": ["d e"]}}, ["x.a=1", "x.b.c=['d e']"]),
        ([{"a": None}], ["x=[{a:null}]"]),
    ],
)
def test_values_become_overrides(value: Any, words: list[str]) -> None:
    assert list(_override("x", value)) == words
