"""Checkpoints of a stack in training, from which it resumes bitwise."""

import hashlib
import io
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from src.data.datamodule import EpochLoader
from src.storage.atomic import replacing_file
from src.storage.schema import ArtifactError
from src.training.callbacks.base import SeedCallback
from src.training.checkpoint_file import load_checkpoint
from src.training.module import StackedClassifier
from src.utils.errors import first_line

log = logging.getLogger(__name__)


class StackCheckpoint(SeedCallback, Checkpoint):
    """Saves a stack every few epochs, and resumes from the latest checkpoint that contains all of its seeds.

    A checkpoint has all that the rest of the training depends on: weights and buffers, the states of the optimizer, its
    scheduler and the callbacks, the random states of the shuffles and of a network that draws numbers itself, the
    epoch, and the curves so far. Every tensor has the axis S, so some seeds of a stack can resume from the checkpoint
    of the whole.

    Args:
        folder: The directory of the condition.
        members: The names of the seeds' directories, in the order of the stack.
        fingerprint: The fingerprint of the condition.
        every: Epochs between checkpoints, at least 1.
    """

    def __init__(self, folder: Path, members: Sequence[str], fingerprint: str, every: int) -> None:
        digest = hashlib.sha256("\n".join(members).encode()).hexdigest()[:8]
        self.path = folder / f".stack-{digest}.ckpt"
        self.members = list(members)
        self.fingerprint = fingerprint
        self.every = every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Resume from a checkpoint, if there is one."""
        read = map(_load, self.path.parent.glob(".stack-*.ckpt"))
        found = [content for content in read if content is not None and self._fits(content)]
        if not found:
            return
        content = max(found, key=lambda each: each["epoch"])
        rows = torch.tensor([content["members"].index(member) for member in self.members])
        try:
            _restore(cast(StackedClassifier, pl_module), content, rows)
            _restore_callbacks(trainer, content["callbacks"], rows)
            for generator, row in zip(_generators(trainer), rows.tolist(), strict=True):
                generator.set_state(content["generators"][row])
        except Exception as error:  # of any type, as the file may hold anything in the place of the state
            broken = f"{self.path.parent}/.stack-*.ckpt does not fit these seeds, remove it ({first_line(error)})"
            raise ArtifactError(broken) from error
        epochs: Any = trainer.fit_loop.epoch_progress.current
        epochs.ready = epochs.started = epochs.processed = epochs.completed = content["epoch"]
        blocks = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
        blocks.ready = blocks.completed = content["global_step"]
        log.info("%d seeds continue after epoch %d", len(self.members), content["epoch"])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the stack every few epochs, except after the last."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every or epoch == trainer.max_epochs:
            return
        classifier = cast(StackedClassifier, pl_module)
        content = {
            "members": self.members,
            "fingerprint": self.fingerprint,
            "epoch": epoch,
            "global_step": trainer.global_step,
            "values": classifier.flat.rows(classifier.flat.values.detach()),
            "optimizer": classifier.flat.split_state(trainer.optimizers[0].state_dict()["state"].get(0, {})),
            "groups": trainer.optimizers[0].state_dict()["param_groups"],
            "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "callbacks": {each.state_key: each.state_dict() for each in _callbacks(trainer)},
            "buffers": dict(classifier.network.named_buffers()),
            "random_states": getattr(classifier.network, "random_states", []),
            "generators": [generator.get_state() for generator in _generators(trainer)],
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with replacing_file(self.path) as scratch:
            scratch.write_bytes(buffer.getbuffer())  # torch.save would hide why a file cannot be written

    def _fits(self, content: dict[str, Any]) -> bool:
        return content["fingerprint"] == self.fingerprint and set(self.members) <= set(content["members"])


def clear(folder: Path, done: Collection[str]) -> None:
    """Remove the checkpoints of a condition whose seeds are all finished, and those that cannot be read."""
    for path in folder.glob(".stack-*.ckpt"):
        content = _load(path)
        if content is None or set(content["members"]) <= set(done):
            path.unlink(missing_ok=True)


def _restore(classifier: StackedClassifier, content: dict[str, Any], rows: Tensor) -> None:
    """Copy the rows of some seeds from a checkpoint into a classifier and its optimizer."""
    flat = classifier.flat
    flat.values.data.copy_(flat.from_rows(content["values"][rows]))
    optimizer = cast(torch.optim.Optimizer, classifier.optimizers(use_pl_optimizer=False))
    by_seed, shared = content["optimizer"]
    state = shared | {name: flat.from_rows(value[rows]) for name, value in by_seed.items()}
    optimizer.load_state_dict({"state": {0: state}, "param_groups": content["groups"]})
    for config, saved in zip(classifier.trainer.lr_scheduler_configs, content["schedulers"], strict=True):
        config.scheduler.load_state_dict(_of_rows(saved, rows))
    network: Any = classifier.network
    for name, buffer in network.named_buffers():
        buffer.copy_(content["buffers"][name][rows])
    if content["random_states"]:
        network.random_states = [content["random_states"][row] for row in rows.tolist()]


def _restore_callbacks(trainer: L.Trainer, states: dict[str, dict[str, Any]], rows: Tensor) -> None:
    """Restore the states of the callbacks, of which those that act on each seed have rows in their tensors."""
    for callback in _callbacks(trainer):
        state = states[callback.state_key]
        callback.load_state_dict(_of_rows(state, rows) if isinstance(callback, SeedCallback) else state)


def _of_rows(state: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """Return a state with some rows of its tensors, each of which leads with S or is empty."""
    return {name: value[rows] if isinstance(value, Tensor) and len(value) else value for name, value in state.items()}


def _callbacks(trainer: L.Trainer) -> list[L.Callback]:
    return cast(Any, trainer).callbacks


def _generators(trainer: L.Trainer) -> Sequence[torch.Generator]:
    return cast(EpochLoader, trainer.train_dataloader).generators


def _load(path: Path) -> dict[str, Any] | None:
    """Return the content of a checkpoint, or None if it is damaged; no code in it is run."""
    try:
        content = load_checkpoint(path)
        types = {
            "members": list,
            "fingerprint": str,
            "epoch": int,
            "values": Tensor,
            "generators": list,
            "groups": list,
        }
        if wrong := [name for name, kind in types.items() if not isinstance(content.get(name), kind)]:
            raise ValueError(f"its {wrong[0]} is of another type")
        return content | {"members": list(map(str, content["members"]))}
    except Exception as error:  # torch's unpickler raises errors of any type
        log.warning("%s is left out: %s", path, first_line(error))
        return None
