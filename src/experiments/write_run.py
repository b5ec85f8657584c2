"""From a trained stack to the files of each seed."""

import importlib.metadata
import io
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from src.metrics.predictions import Predictions
from src.storage import schema
from src.storage.schema import Results
from src.training.module import StackedClassifier

ROWS = 2**14  # of predictions.csv that are made at a time
PACKAGES = ("losslab", "torch", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy")


@dataclass(frozen=True)
class Training:
    """What the training of one seed leaves.

    Attributes:
        history: A row an epoch: epoch, step, train/loss, train/accuracy, and val/* where there is a validation split.
        step_loss: The loss of every step, (steps,).
        error: Why the seed failed, or None.
    """

    history: pd.DataFrame
    step_loss: np.ndarray
    error: str | None


def trainings(classifier: StackedClassifier) -> list[Training]:
    """Take a trained stack apart into its seeds."""
    epochs = len(classifier.step_loss)
    steps = len(classifier.step_loss[0])
    step_loss = torch.cat(classifier.step_loss).float()  # (epochs * steps, S)
    columns = {
        "train/loss": classifier.train_loss,
        "train/accuracy": classifier.train_accuracy,
        "val/loss": classifier.val_loss,
        "val/accuracy": classifier.val_accuracy,
    }
    stacked = {name: torch.stack(rows).float().numpy() for name, rows in columns.items() if rows}  # (epochs, S)
    epoch = np.arange(1, epochs + 1)
    return [
        Training(
            pd.DataFrame(
                {"epoch": epoch, "step": epoch * steps} | {name: rows[:, seed] for name, rows in stacked.items()}
            ),
            step_loss[:, seed].numpy(),
            _divergence(step_loss[:, seed], steps),
        )
        for seed in range(step_loss.shape[1])
    ]


def without_steps(error: str | None) -> Training:
    """Return what a fit in closed form leaves of one seed: no epochs, no steps."""
    return Training(pd.DataFrame(columns=["epoch", "step", "train/loss", "train/accuracy"]), np.empty(0), error)


def _divergence(step_loss: Tensor, steps: int) -> str | None:
    """Say where the loss of one seed, (steps of all epochs,), became NaN or infinite, or None."""
    bad = (~step_loss.isfinite()).nonzero()
    if not len(bad):
        return None
    step = int(bad[0])
    kind = "NaN" if step_loss[step].isnan() else "infinite"
    return f"the loss became {kind} in epoch {step // steps + 1}, step {step + 1}"


def write_predictions(folder: Path, features: pd.DataFrame, target: Tensor, predictions: Predictions) -> None:
    """Write ``predictions.csv``: the features, a row a point, target (N,), pred, correct, and probabilities if any."""
    preds, probabilities = predictions.preds, predictions.probabilities
    with (folder / schema.PREDICTIONS).open("w", newline="") as file:
        for start in range(0, len(target), ROWS):
            rows = slice(start, start + ROWS)
            part = Predictions(preds[rows], None if probabilities is None else probabilities[rows])
            table = features[rows].reset_index(drop=True).assign(target=target[rows].numpy())
            table = table.join(prediction_columns(part))
            table.insert(table.columns.get_loc("pred") + 1, "correct", (table["pred"] == table["target"]).astype(int))
            table.to_csv(file, index=False, header=start == 0)


def prediction_columns(predictions: Predictions) -> pd.DataFrame:
    """Return the columns pred and, where there are probabilities, p0, ..., p{C-1}."""
    columns = {"pred": predictions.preds.numpy()}
    if predictions.probabilities is not None:
        columns |= {f"p{index}": column.numpy() for index, column in enumerate(predictions.probabilities.T)}
    return pd.DataFrame(columns)


def write_checkpoint(folder: Path, network: nn.Module, index: int, training: Training) -> None:
    """Write one seed's weights, with a leading axis S = 1, so that they load with ``weights_only=True``."""
    state = {
        f"network.{name}": value[index : index + 1].cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    epochs, steps = (int(training.history[name].max()) if len(training.history) else 0 for name in ("epoch", "step"))
    content = {
        "state_dict": state,
        "epoch": epochs,
        "global_step": steps,
        "pytorch-lightning_version": L.__version__,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (folder / schema.CHECKPOINT).write_bytes(buffer.getbuffer())  # torch itself hides why a file cannot be written


def write_seed(folder: Path, results: Results, training: Training) -> None:
    """Write the files that every seed leaves, failed or not; the results last."""
    training.history.to_csv(folder / schema.HISTORY, index=False)
    schema.write_results(folder, results)


def hparams(results: Results) -> dict[str, str | int | float | bool]:
    """Return what TensorBoard's HParams table shows of a run: choices, classes, seed and the groups' settings."""
    chosen: dict[str, Any] = {name: getattr(results, name) for name in ("loss", "model", "data", "classes", "seed")}
    chosen |= {f"seeds.{purpose}": seed for purpose, seed in results.config["seeds"].items() if seed is not None}
    chosen["optimizer"] = results.config["optimizer"]["_target_"].rpartition(".")[2]
    for group in ("data", "model", "loss", "optimizer"):
        chosen |= {f"{group}.{name}": value for name, value in results.config[group].items() if name != "_target_"}
    chosen["trainer.max_epochs"] = results.config["trainer"]["max_epochs"]
    return {
        name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in chosen.items()
    }


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries, and the commit of the project."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages, "commit": commit}
