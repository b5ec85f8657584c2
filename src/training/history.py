"""Curves of each seed of a trained stack."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from src.training.module import StackedClassifier


@dataclass(frozen=True)
class Training:
    """The curves of one trained seed.

    Attributes:
        history: One row per epoch: epoch, step, train/loss, train/accuracy, and val/* with a validation split.
        step_loss: The loss of every step, (steps,).
        error: Why the seed failed, or None.
    """

    history: pd.DataFrame
    step_loss: np.ndarray
    error: str | None


def trainings(classifier: StackedClassifier) -> list[Training]:
    """Return the curves of each seed of a trained stack."""
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
    """Return the empty curves of one seed that was fitted in closed form."""
    return Training(pd.DataFrame(columns=["epoch", "step", "train/loss", "train/accuracy"]), np.empty(0), error)


def _divergence(step_loss: Tensor, steps: int) -> str | None:
    """Return where the loss of one seed, (steps of all epochs,), became NaN or infinite, or None."""
    bad = (~step_loss.isfinite()).nonzero()
    if not len(bad):
        return None
    step = int(bad[0])
    kind = "NaN" if step_loss[step].isnan() else "infinite"
    return f"the loss became {kind} in epoch {step // steps + 1}, step {step + 1}"
