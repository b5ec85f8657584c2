"""Curves of each seed of a trained stack."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
import torch
from torch import Tensor


@dataclass
class Curves:
    """Curves of all seeds in training, each a list with one tensor per finished epoch, on the CPU.

    Attributes:
        step_loss: The loss of every step, (steps, S).
        train_loss: The loss (S,), averaged over the samples as they were trained on.
        train_accuracy: The accuracy (S,) of the mini-batches as they were trained on.
        val_loss: The loss (S,) of the validation split; empty without one.
        val_accuracy: The accuracy (S,) of the validation split; empty without one.
        train_lr: The learning rate (S,) at the end of the epoch; empty where all seeds have that of the optimizer.
    """

    step_loss: list[Tensor] = field(default_factory=list)
    train_loss: list[Tensor] = field(default_factory=list)
    train_accuracy: list[Tensor] = field(default_factory=list)
    val_loss: list[Tensor] = field(default_factory=list)
    val_accuracy: list[Tensor] = field(default_factory=list)
    train_lr: list[Tensor] = field(default_factory=list)

    def of_epochs(self) -> dict[str, list[Tensor]]:
        """Return the curves with one value per epoch by their names in ``history.csv``, such as train/loss."""
        names = [each.name for each in fields(self) if each.name != "step_loss"]
        return {name.replace("_", "/"): getattr(self, name) for name in names}


@dataclass(frozen=True)
class Training:
    """The curves of one trained seed.

    Attributes:
        history: One row per epoch: epoch, step, train/loss, train/accuracy, val/* with a validation split, and
            train/lr where the seeds have rates of their own.
        step_loss: The loss of every step, (steps,).
        error: Why the seed failed, or None.
    """

    history: pd.DataFrame
    step_loss: np.ndarray
    error: str | None


def trainings(curves: Curves, ended: Tensor | None = None) -> list[Training]:
    """Return the curves of a trained stack seed by seed.

    Args:
        curves: The curves of all seeds; an epoch without validation has NaN in their place.
        ended: The number of epochs, (S,), after which each seed was stopped; 0 or None for the last epoch.
    """
    epochs = len(curves.step_loss)
    steps = np.cumsum([len(losses) for losses in curves.step_loss])  # after each epoch
    step_loss = torch.cat(curves.step_loss).float()  # (epochs * steps, S)
    stacked = {  # (epochs, S)
        name: torch.stack([*curve, *missing(curve, epochs)]).float().numpy()
        for name, curve in curves.of_epochs().items()
        if curve
    }
    table = {"epoch": np.arange(1, epochs + 1), "step": steps}
    found = []
    for seed in range(step_loss.shape[1]):
        last = epochs if ended is None else int(ended[seed]) or epochs
        history = pd.DataFrame(table | {name: rows[:, seed] for name, rows in stacked.items()})[:last]
        losses = step_loss[: steps[last - 1], seed]
        found.append(Training(history, losses.numpy(), _divergence(losses, steps)))
    return found


def missing(curve: Sequence[Tensor], epochs: int) -> list[Tensor]:
    """Return NaN for the last of so many epochs, after which a curve (S,) was not measured."""
    return [torch.full_like(curve[-1], torch.nan)] * (epochs - len(curve)) if curve else []


def without_steps(error: str | None) -> Training:
    """Return the empty curves of one seed that was fitted in closed form."""
    return Training(pd.DataFrame(columns=["epoch", "step", "train/loss", "train/accuracy"]), np.empty(0), error)


def _divergence(step_loss: Tensor, steps: np.ndarray) -> str | None:
    """Return where the loss of one seed became NaN or infinite, or None.

    Args:
        step_loss: The loss of every step of all epochs.
        steps: The number of steps after each epoch.
    """
    bad = (~step_loss.isfinite()).nonzero()
    if not len(bad):
        return None
    step = int(bad[0])
    kind = "NaN" if step_loss[step].isnan() else "infinite"
    return f"the loss became {kind} in epoch {np.searchsorted(steps, step, side='right') + 1}, step {step + 1}"
