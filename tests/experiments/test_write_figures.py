import io

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

import src.experiments.write_figures as figures
from src.config.instantiate import build_components, stack
from src.experiments.run_folder import RunFolder
from src.metrics.classification import compute_metrics
from src.metrics.predictions import predict, seed_network, seed_state
from src.plotting import movie
from src.training.history import Training


@pytest.fixture
def parts(settings):
    chosen = settings("classes=3", "data.samples_per_class=20", "seed=5")
    parts = build_components(chosen, stack(chosen))
    parts.datamodule.setup()
    return parts


def test_scatter_shows_the_numbers_of_the_run(parts, tmp_path, monkeypatch):
    data, network = parts.datamodule, seed_network(parts.network, 0)
    metrics = compute_metrics(network, parts.objective, data.source, data.train, data.test)
    seen = {}
    original = figures.scatter_figure
    monkeypatch.setattr(figures, "scatter_figure", lambda *a, **k: seen.update(k, x=a[0]) or original(*a, **k))
    images = figures.write_scatter(tmp_path, network, parts.objective, data.source, data.test, metrics)
    assert images == {"figures/scatter": tmp_path / "figures/scatter.png"}
    assert imread(images["figures/scatter"]).std() > 0
    preds = parts.objective.decode(network(data.test.x[0])[None])[0]
    correct = int((preds == data.test.target[0]).sum())
    assert seen["title"].startswith(f"{correct}/12 = {correct / 12:.2f}, population ")
    regions = seen["regions"]
    assert regions.pred.shape == regions.bayes.shape == (figures.FIGURE_RESOLUTION, figures.FIGURE_RESOLUTION)
    assert regions.x1.min() < seen["x"][:, 0].min() < seen["x"][:, 0].max() < regions.x1.max()
    column, row = 17, 250  # the grid's rows run along x2
    point = torch.tensor([[regions.x1[column], regions.x2[row]]])
    assert regions.pred[row, column] == parts.objective.decode(network(point)[None]).item()
    assert regions.bayes[row, column] == data.source.bayes_rule(point).item()


def test_a_movie_ends_with_the_weights_that_are_kept(parts, tmp_path, monkeypatch):
    kept = seed_state(parts.network, 0)
    other = {name: -value if name.startswith("head") else value for name, value in kept.items()}
    history = pd.DataFrame({"epoch": [1, 2], "train/loss": [2.0, 1.0]})
    seen = {}
    original = movie.frame
    monkeypatch.setattr(movie, "frame", lambda *a, **k: seen.update({a[1]: k["pred"]}) or original(*a, **k))
    states = dict.fromkeys((0, 1, 2, 3), other)  # epoch 3 is after an early stop
    pictures = figures.write_movie(tmp_path, "title", parts, 0, Training(history, np.ones(2), None), states)
    expected, before = (
        predict(seed_network(parts.network, 0, state)(parts.datamodule.test.x[0]), parts.objective).preds.numpy()
        for state in (kept, other)
    )
    assert (expected != before).any()
    assert list(seen) == list(pictures) == [0, 1, 2]
    for epoch, preds in seen.items():
        np.testing.assert_array_equal(preds, expected if epoch == 2 else before)
    assert imread(io.BytesIO(pictures[2])).shape[:2] == (340, 840)


def test_scatter_shows_at_most_max_samples(parts, tmp_path, monkeypatch):
    data, network = parts.datamodule, seed_network(parts.network, 0)
    metrics = compute_metrics(network, parts.objective, data.source, data.train, data.test)
    seen = []
    original = figures.scatter_figure
    monkeypatch.setattr(figures, "scatter_figure", lambda *a, **k: seen.extend(map(len, a)) or original(*a, **k))
    monkeypatch.setattr(figures, "MAX_SAMPLES", 5)
    figures.write_scatter(tmp_path, network, parts.objective, data.source, data.test, metrics)
    assert seen == [5, 5, 5]


def test_stored_regions_are_a_full_grid_of_the_networks_labels(parts, tmp_path):
    data, network = parts.datamodule, seed_network(parts.network, 0)
    figures.write_regions(RunFolder(tmp_path), network, parts.objective, data.source, data.test)
    table = pd.read_csv(tmp_path / "regions.csv")
    assert list(table.columns) == ["x1", "x2", "pred", "bayes"]
    assert len(table) == figures.FILE_RESOLUTION**2 == table["x1"].nunique() * table["x2"].nunique()
    x = torch.tensor(table[["x1", "x2"]].to_numpy(), dtype=torch.float32)
    assert table["pred"].tolist() == parts.objective.decode(network(x)[None])[0].tolist()
    assert (table["bayes"] == data.source.bayes_rule(x).numpy()).mean() > 0.999  # the file rounds x


def test_no_scatter_for_other_than_two_features(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(parts.datamodule.source, "features", 3, raising=False)
    data = parts.datamodule
    network = seed_network(parts.network, 0)
    assert figures.write_scatter(tmp_path, network, parts.objective, data.source, data.test, {}) == {}
    figures.write_regions(RunFolder(tmp_path), network, parts.objective, data.source, data.test)
    assert not list(tmp_path.iterdir())


def test_loss_curve_and_no_curve_without_steps(parts, tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "step": [3, 6]})
    training = Training(history, np.linspace(1, 0.5, 6), None)
    assert figures.write_loss_curve(tmp_path, training, parts.objective) == {
        "figures/loss": tmp_path / "figures/loss.png"
    }
    empty = Training(history.iloc[:0], np.empty(0), None)
    assert figures.write_loss_curve(tmp_path / "none", empty, parts.objective) == {}
