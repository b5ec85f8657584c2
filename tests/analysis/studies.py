"""Synthetic studies: run folders as training leaves them, written through the schema of ``src.storage.schema``."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.storage.schema import FAILED, HISTORY, PREDICTIONS, REGIONS, Results, seed_folder, write_results

COLLAPSED = 0.25  # accuracy of the collapsed networks of ``make_runs``
RECIPE: dict[str, Any] = {
    "model": {"_target_": "src.models.mlp.MLP", "hidden": [50, 100, 50], "init": "normal"},
    "data": {"_target_": "src.data.noisy_cubic.NoisyCubic", "samples_per_class": 80},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.005},
    "trainer": {"max_epochs": 499},
}


def write_run(study: Path, loss: str = "ce", classes: int = 2, seed: int = 0, **changes: Any) -> Path:
    """Write the folder of one seed and return it.

    Args:
        study: Folder of the study.
        loss: Choice of the loss group.
        classes: Number of classes.
        seed: The seed.
        changes: Other fields of ``Results``; ``config`` is merged group by group, ``metrics`` replaces the default,
            ``pins`` are the seeds of streams that do not follow ``seed``. With ``files=False`` there is neither history
            nor predictions; with ``whole=True`` there are probabilities and decision regions too.
    """
    files, pins, whole = changes.pop("files", True), changes.pop("pins", {}), changes.pop("whole", False)
    config = {"classes": classes, "seed": seed, "loss": {"_target_": f"src.losses.{loss}"}, **RECIPE}
    for group, values in changes.pop("config", {}).items():
        config[group] = {**config.get(group, {}), **values} if isinstance(values, dict) else values
    identity = repr((loss, classes, {name: value for name, value in config.items() if name != "seed"}))
    fingerprint = changes.pop("fingerprint", hashlib.sha256(identity.encode()).hexdigest()[:8])
    condition = changes.pop("condition", f"loss={loss},classes={classes}-{fingerprint}")
    folder = seed_folder(study / condition, seed, pins)
    folder.mkdir(parents=True)
    points = noisy_cubic(classes, seed, 0.1 if loss == "mse" else 0.05)
    if files:
        _history(loss, classes, seed).to_csv(folder / HISTORY, index=False)
        points.to_csv(folder / PREDICTIONS, index=False)
    if whole:
        _probabilities(points, classes).to_csv(folder / PREDICTIONS, index=False)
        _regions(points, classes).to_csv(folder / REGIONS, index=False)
    fields: dict[str, Any] = {"model": "mlp", "data": "noisy_cubic", "overrides": [], "versions": {}, "seconds": 1.5}
    fields["streams"] = dict.fromkeys(("data", "split", "init", "shuffle"), seed) | pins
    fields["metrics"] = {} if changes.get("status") == FAILED else _metrics(points, loss, classes, seed)
    if whole:
        fields["metrics"] |= {"population/calibration_error": 0.05 + 0.01 * seed, "linear/accuracy": 0.6}
    fields |= {"study": study.name, "condition": condition, "fingerprint": fingerprint, "config": config, **changes}
    write_results(folder, Results(loss=loss, classes=classes, seed=seed, **fields))
    return folder


def write_study(
    study: Path,
    losses: tuple[str, ...] = ("mse", "ce"),
    counts: tuple[int, ...] = (2, 4),
    seeds: int = 3,
    **changes: Any,
) -> Path:
    """Write a run for every loss, class count and seed, and return the study's folder."""
    for loss in losses:
        for classes in counts:
            for seed in range(seeds):
                write_run(study, loss, classes, seed, **changes)
    return study


def cubic(x1: np.ndarray) -> np.ndarray:
    """Return the min-max normalised cubic at normalised x1."""
    x = -10 + 19.75 * x1
    y = 3 * x**3 + 2 * x**2 + 5 * x
    ends = [3 * v**3 + 2 * v**2 + 5 * v for v in (-10, 9.75)]
    return (y - ends[0]) / (ends[1] - ends[0])


def nearest_band(x1: np.ndarray, x2: np.ndarray, classes: int) -> np.ndarray:
    """Return the class whose band is nearest."""
    centres = 0.2 * ((classes - 1) / 2 - np.arange(classes))
    return np.abs((x2 - cubic(x1))[..., None] - centres).argmin(-1)


def noisy_cubic(classes: int, seed: int, wobble: float) -> pd.DataFrame:
    """Return test points of the noisy cubic, labelled by a wobbly version of the Bayes rule."""
    generator = np.random.default_rng([seed, classes])
    x1 = np.repeat(np.linspace(0, 1, 80), classes)
    target = np.tile(np.arange(classes), 80)
    centre = cubic(x1) + 0.2 * ((classes - 1) / 2 - target)
    x2 = centre + generator.uniform(-0.2, 0.2, len(x1))
    kept = generator.permutation(len(x1))[: 16 * classes]
    pred = nearest_band(x1, x2 + wobble * np.sin(20 * x1 + seed), classes)
    table = pd.DataFrame({"x1": x1, "x2": x2, "target": target, "pred": pred}).iloc[kept]
    return table.assign(correct=table["target"] == table["pred"])


def _probabilities(points: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Add the probabilities of a classifier that is a little too sure."""
    sure = np.random.default_rng(len(points)).uniform(1 / classes, 1, len(points))
    other = (1 - sure) / (classes - 1)
    columns = {f"p{label}": np.where(points["pred"] == label, sure, other) for label in range(classes)}
    return points.assign(**columns)


def _regions(points: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Return predicted and Bayes-optimal labels over a grid."""
    x1, x2 = np.meshgrid(np.linspace(0, 1, 24), np.linspace(points["x2"].min(), points["x2"].max(), 24))
    bayes, pred = (nearest_band(x1, x2 + wobble * np.sin(20 * x1), classes) for wobble in (0.0, 0.05))
    return pd.DataFrame({"x1": x1.ravel(), "x2": x2.ravel(), "pred": pred.ravel(), "bayes": bayes.ravel()})


def _history(loss: str, classes: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    epoch = np.arange(1, 101)
    scale = (0.02 if loss == "mse" else 0.3) * classes / 2
    value = scale * (1 + 4 * np.exp(-epoch / 15)) * np.exp(generator.normal(0, 0.15) + generator.normal(0, 0.05, 100))
    return pd.DataFrame({"epoch": epoch, "step": 26 * epoch, "train/loss": value, "train/accuracy": 0.8})


def _metrics(points: pd.DataFrame, loss: str, classes: int, seed: int) -> dict[str, float]:
    bayes = (1 + (classes - 1) / 2) / classes
    population = bayes - 0.01 - float(np.random.default_rng([seed, classes, len(loss)]).gamma(2, 0.01))
    correct = int(points["correct"].sum())
    return {
        "train/loss": 0.3,
        "train/accuracy": 0.8,
        "train/decided_classes": classes,
        "test/loss": 0.4,
        "test/accuracy": correct / len(points),
        "test/correct": correct,
        "test/count": len(points),
        "population/accuracy": population,
        "population/regret": bayes - population,
        "bayes/accuracy": bayes,
    }


def write_collapsed(study: Path, loss: str = "ce", classes: int = 2, seed: int = 0, **changes: Any) -> Path:
    """Write the folder of one collapsed seed with three dead layers and return it."""
    units = {f"train/dead_units/{layer}": share for layer, share in enumerate((0.5, 0.9, 1.0), start=1)}
    metrics = {"train/accuracy": 1 / classes, "train/decided_classes": 1, "train/collapse_epoch": 2 + seed, **units}
    metrics |= {"test/accuracy": 1 / classes, "population/accuracy": 1 / classes, "test/count": 32}
    return write_run(study, loss, classes, seed, metrics=metrics, **changes)


def make_runs(
    accuracies: dict[tuple[str, int], np.ndarray], crossed: tuple[int, int, int] | None = None
) -> pd.DataFrame:
    """Return a table of runs as ``Collection.runs`` has it, without any files.

    Args:
        accuracies: Population accuracies by loss and class count, (S,); a network with ``COLLAPSED`` is collapsed.
        crossed: Numbers of data, init and shuffle seeds that the S runs are a crossing of; by default S plain seeds.
    """
    parts = []
    for (loss, classes), values in accuracies.items():
        seed = np.arange(len(values))
        streams = np.array([seed] * 3) if crossed is None else np.indices(crossed).reshape(3, -1)
        columns: dict[str, Any] = {"label": loss, "study": "made", "condition": f"{loss}{classes}"}
        columns |= {"fingerprint": f"{loss}{classes}", "loss": loss, "model": "mlp", "data": "d", "classes": classes}
        columns |= {"seed": seed if crossed is None else 0, "seeds.data": streams[0], "seeds.split": streams[0]}
        columns |= {"seeds.init": streams[1], "seeds.shuffle": streams[2], "status": "completed", "seconds": 1.0}
        columns |= {"train/decided_classes": np.where(values == COLLAPSED, 1, classes)}
        columns |= {"population/accuracy": values, "population/regret": 0.75 - values}
        parts.append(pd.DataFrame(columns | {"folder": [f"{loss}{classes}/{index}" for index in seed]}))
    return pd.concat(parts, ignore_index=True)
