"""The curves of each seed of a stack in training."""

from functools import lru_cache
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from src.training.callbacks.base import SeedCallback
from src.training.history import Curves


class SeedHistory(SeedCallback):
    """Keeps what ``StackedClassifier`` returns of each batch as the curves of each seed.

    Each ``StackedClassifier`` brings its own, so that any ``lightning.Trainer`` has it.

    Attributes:
        curves: Losses and accuracies of the finished epochs.
    """

    def __init__(self) -> None:
        self.curves = Curves()
        self._blocks: list[dict[str, Any]] = []  # of the running epoch
        self._batches: list[dict[str, Any]] = []  # of the running validation

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keep the losses of a block; the last one of an epoch ends it."""
        self._blocks.append(outputs)
        if trainer.is_last_batch or trainer.global_step == trainer.max_steps:
            self._end_epoch(pl_module)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the loss and the accuracy of a batch, mostly the whole validation split."""
        self._batches.append(outputs)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the validation loss and accuracy of each seed after an epoch of training."""
        batches, self._batches = self._batches, []
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        sizes = tuple(batch["size"] for batch in batches)
        for name, curve in (("loss", self.curves.val_loss), ("accuracy", self.curves.val_accuracy)):
            values = torch.stack([batch[name].cpu() for batch in batches])  # (batches, S)
            unmeasured = len(self.curves.step_loss) - 1 - len(curve)  # epochs before, see check_val_every_n_epoch
            curve += [torch.full_like(values[0], torch.nan)] * unmeasured
            curve.append(values[0] if len(values) == 1 else _weighted_mean(values, sizes))

    def state_dict(self) -> dict[str, Any]:
        """Return the curves; every tensor leads with S."""
        steps = self.curves.step_loss
        if not steps:
            return {}
        epochs = {
            name: torch.stack(curve, dim=1) for name, curve in vars(self.curves).items() if curve and curve is not steps
        }
        return {"steps": list(map(len, steps)), "step_loss": torch.cat(steps).T.contiguous(), **epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the curves."""
        state = dict(state_dict)
        steps = state.pop("steps", [])
        curves = {name: list(values.unbind(dim=1)) for name, values in state.items()}
        if steps:
            curves["step_loss"] = list(state["step_loss"].T.split(steps))
        self.curves = Curves(**curves)

    def _end_epoch(self, pl_module: Any) -> None:
        """Store the losses and the accuracy of an epoch, and log their means."""
        blocks, self._blocks = self._blocks, []
        losses = blocks[0]["losses"] if len(blocks) == 1 else torch.cat([block["losses"] for block in blocks])
        sizes = tuple(size for block in blocks for size in block["sizes"])
        mean = _weighted_mean(losses, sizes)  # (steps, S) -> (S,)
        accuracy = sum(block["correct"] for block in blocks).float() / sum(sizes)  # (S,)
        self.curves.step_loss.append(losses.cpu())
        self.curves.train_loss.append(mean.cpu())
        self.curves.train_accuracy.append(accuracy.cpu())
        if (rates := pl_module.rates()) is not None:
            self.curves.train_lr.append(rates)
        pl_module.log_means("train", mean, accuracy, 1)


def _weighted_mean(values: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the mean over mini-batches, (steps, S) -> (S,), weighted by their numbers of samples."""
    # A sum over the steps would round by S; a running sum does not.
    return (values * _column(sizes, values.device)).cumsum(0)[-1] / sum(sizes)


@lru_cache(maxsize=2)  # as all epochs mostly have the same
def _column(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return numbers of samples as a column, (steps, 1)."""
    return torch.tensor(sizes, device=device)[:, None]
