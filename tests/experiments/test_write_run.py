import importlib.metadata
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from src.experiments import write_run
from src.experiments.run_folder import RunFolder
from src.experiments.write_run import (
    hparams,
    prediction_columns,
    write_checkpoint,
    write_predictions,
)
from src.losses.ce import CrossEntropy
from src.metrics.predictions import Predictions
from src.storage.schema import FAILED, Results, read_results, read_table
from src.training.history import Training, trainings
from src.training.module import StackedClassifier
from tests.training.stacks import SEEDS, make_classifier, make_network


def make_results(**changes: Any) -> Results:
    config = {
        "seeds": {"data": 3, "split": None, "init": 7, "shuffle": None},
        "data": {"_target_": "src.data.noisy_cubic.NoisyCubic", "samples_per_class": 80, "label_order": None},
        "model": {"_target_": "src.models.mlp.MLP", "hidden": [50, 100, 50], "init_std": 0.02},
        "loss": {"_target_": "src.losses.ce.CrossEntropy"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.005, "fused": True, "betas": {"first": 0.9}},
        "trainer": {"max_epochs": 499, "accelerator": "cpu"},
    }
    fields = {"study": "s", "condition": "c", "fingerprint": "f", "loss": "ce", "model": "mlp", "data": "noisy_cubic"}
    fields |= {"classes": 3, "seed": 0, "overrides": [], "config": config, "versions": {}, "seconds": 1.0}
    return Results(**fields | changes)


def test_predictions_have_the_documented_columns_and_values(tmp_path: Path) -> None:
    x = torch.tensor([[0.1, 1 / 3], [0.5, -2.0], [1.0, 1e-8]])
    probabilities = torch.tensor([[0.2, 0.5, 0.3], [1 / 3, 1 / 3, 1 / 3], [1e-30, 0.0, 1.0]], dtype=torch.float64)
    features = pd.DataFrame({"x1": x[:, 0].numpy(), "x2": x[:, 1].numpy()})
    write_predictions(
        RunFolder(tmp_path),
        features,
        torch.tensor([1, 2, 2]),
        Predictions(torch.tensor([1, 0, 2]), probabilities),
        range(3),
    )
    assert (tmp_path / "predictions.csv").read_text().startswith("x1,x2,target,pred,correct,p0,p1,p2\n")
    table = read_table(tmp_path / "predictions.csv", ("x1",))
    assert table[["target", "pred", "correct"]].to_numpy().tolist() == [[1, 1, 1], [2, 0, 0], [2, 2, 1]]
    assert table[["x1", "x2"]].to_numpy(dtype=np.float32).tolist() == x.tolist()
    assert table[["p0", "p1", "p2"]].to_numpy().tolist() == probabilities.tolist()


def test_predictions_do_not_depend_on_the_rows_per_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preds = torch.arange(7) % 2
    predictions = Predictions(preds, torch.nn.functional.one_hot(preds, 2).double() / 3)
    features = pd.DataFrame({"x1": np.linspace(0, 1, 7), "colour": list("abcdefg")})
    texts = []
    for rows in (3, 7, 100):
        monkeypatch.setattr(write_run, "ROWS_PER_WRITE", rows)
        write_predictions(RunFolder(tmp_path), features, torch.ones(7, dtype=torch.int64), predictions, range(2))
        texts.append((tmp_path / "predictions.csv").read_text())
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0].splitlines()) == 8


def test_predictions_without_probabilities_end_with_correct(tmp_path: Path) -> None:
    predictions = Predictions(torch.tensor([1, 0]), None)
    features = pd.DataFrame({"width": [0.5, 1.5], "colour": ["red", "blue"]})
    write_predictions(RunFolder(tmp_path), features, torch.tensor([1, 1]), predictions, range(2))
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines == ["width,colour,target,pred,correct", "0.5,red,1,1,1", "1.5,blue,1,0,0"]


def test_prediction_columns_are_pred_and_probabilities() -> None:
    half = torch.full((2, 2), 0.5, dtype=torch.float64)
    columns = prediction_columns(Predictions(torch.tensor([1, 0]), half), range(2))
    expected = pd.DataFrame({"pred": [1, 0], "p0": [0.5, 0.5], "p1": [0.5, 0.5]})
    pd.testing.assert_frame_equal(columns, expected)
    assert list(prediction_columns(Predictions(torch.tensor([1, 0]), None), range(2))) == ["pred"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_checkpoint_holds_one_seed_and_loads_with_weights_only(tmp_path: Path, seed: int) -> None:
    classifier = make_classifier()
    classifier.configure_model()  # makes the parameters views of one buffer, as training does
    write_checkpoint(RunFolder(tmp_path), classifier.network, seed, trainings(classifier.curves)[seed])
    content = torch.load(tmp_path / "checkpoint.ckpt", weights_only=True)
    assert (content["epoch"], content["global_step"]) == (3, 12)
    assert content["pytorch-lightning_version"] == importlib.metadata.version("lightning")
    state: dict[str, Tensor] = content["state_dict"]
    assert state.keys() == {
        f"network.{layer}.{kind}" for layer in ("trunk.0", "trunk.1", "head") for kind in ("weight", "bias")
    }
    for name, value in classifier.network.state_dict().items():
        stored = state[f"network.{name}"]
        assert torch.equal(stored, value[seed : seed + 1])
        assert stored.untyped_storage().nbytes() == stored.numel() * 4  # and nothing of its neighbours
    alone = StackedClassifier(make_network(seeds=1), CrossEntropy(3), torch.optim.SGD)
    alone.load_state_dict(state)
    x = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(alone(x)[0], classifier(x.expand(SEEDS, -1, -1))[seed], rtol=1e-5, atol=1e-6)


def test_a_seed_leaves_its_history_and_then_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = trainings(make_classifier(validation=True).curves)[1]
    written: list[list[str]] = []
    write = write_run.schema.write_results

    def watch(folder: Path, results: Results) -> None:
        written.append(sorted(path.name for path in folder.iterdir()))
        write(folder, results)

    monkeypatch.setattr(write_run.schema, "write_results", watch)
    write_run.write_seed(RunFolder(tmp_path), make_results(seed=1), training)
    assert written == [["history.csv"]]
    assert read_results(tmp_path) == make_results(seed=1)
    stored = read_table(tmp_path / "history.csv", ("epoch", "step", "train/loss"))
    pd.testing.assert_frame_equal(stored, training.history, check_dtype=False)


def test_a_failed_seed_leaves_where_its_loss_broke(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "step": [4, 8], "train/loss": [0.5, math.nan]})
    failed = make_results(status=FAILED, error="the loss became NaN in epoch 2, step 5")
    write_run.write_seed(RunFolder(tmp_path), failed, Training(history, np.zeros(8), failed.error))
    assert read_results(tmp_path) == failed
    pd.testing.assert_frame_equal(read_table(tmp_path / "history.csv", ("train/loss",)), history)


# What is recorded of a run.


def test_hparams_are_choices_and_settings_of_simple_types() -> None:
    chosen = hparams(make_results(seed=7))
    assert chosen == chosen | {
        "loss": "ce",
        "model": "mlp",
        "data": "noisy_cubic",
        "classes": 3,
        "seed": 7,
        "data.samples_per_class": 80,
        "data.label_order": "None",
        "model.hidden": "[50, 100, 50]",
        "model.init_std": 0.02,
        "optimizer": "Adam",
        "optimizer.lr": 0.005,
        "optimizer.fused": True,
        "optimizer.betas": "{'first': 0.9}",
        "trainer.max_epochs": 499,
    }
    assert {type(value) for value in chosen.values()} <= {str, int, float, bool}
    assert not any("_target_" in name for name in chosen)
    assert "trainer.accelerator" not in chosen


def test_hparams_show_the_pinned_streams_also_where_they_equal_the_seed() -> None:
    chosen = hparams(make_results(seed=7, streams={"data": 3, "split": 7, "init": 7, "shuffle": 7}))
    assert {name: value for name, value in chosen.items() if name.startswith("seeds.")} == {
        "seeds.data": 3,
        "seeds.init": 7,
    }
