"""The LightningModule that trains all seeds of a condition together."""

import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.data.datamodule import Batch, Block
from src.engines.base import StepRules
from src.engines.block_optimizer import BlockOptimizer
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.compile import KernelFailure
from src.engines.native.engine import unsupported_reason
from src.engines.select import select_engine
from src.losses.base import Objective
from src.metrics.predictions import by_blocks
from src.training.callbacks.base import SeedCallback
from src.training.history import Curves
from src.training.schedulers import SeedPlateau

log = logging.getLogger(__name__)

GRADIENT_SETTINGS = ("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches")


class StackedClassifier(L.LightningModule):
    """S networks, one objective and one optimizer that does not couple the seeds.

    The sum of the seeds' losses is back-propagated, so the gradient of each seed is that of its own loss; the
    optimizer is element-wise on one flat buffer. One ``training_step`` consumes a block of mini-batches, usually an
    epoch, which saves Lightning's overhead per step: ``trainer.global_step`` counts blocks. Any ``lightning.Trainer``
    can train it, on mini-batches x (S, B, D) and target (S, B), or (B, D) and (B,) that all seeds share. It logs
    train/loss, train/accuracy, val/loss and val/accuracy once per epoch, each the mean over the seeds.

    Args:
        network: A module (S, B, D) -> (S, B, O), whose parameters all lead with S.
        objective: Loss and decision rule.
        optimizer: Builds an element-wise optimizer from parameters.
        scheduler: Builds a learning-rate scheduler from the optimizer; None for a constant rate.
        interval: When the scheduler steps: after each ``epoch``, or after each ``step`` on a mini-batch.
        monitor: The metric that ``SeedPlateau`` follows of each seed, or ``ReduceLROnPlateau`` as their mean.
        engine: ``auto``, ``native`` or ``torch``, see ``src.engines.select``.
        gradient_clip_val: As of ``lightning.Trainer``, which cannot clip each seed alone; None for none.
        gradient_clip_algorithm: ``norm`` of each seed's gradient, or ``value`` of its elements.
        accumulate_grad_batches: As of ``lightning.Trainer``: mini-batches of a block for one step.

    Attributes:
        after_step: What a callback wants to be called after each step of the optimizer, by ``on_fit_start``.
        curves: Losses and accuracies of the finished epochs.
        ended: The number of epochs, (S,), after which a callback stopped each seed, 0 for one that trains on; None
            without such a callback.
    """

    flat: FlatParameters

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        *,
        interval: str = "epoch",
        monitor: str = "train/loss",
        engine: str = "auto",
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        accumulate_grad_batches: int = 1,
    ) -> None:
        super().__init__()
        # Without its frame, Lightning's own would refer to itself, and keep the network until a garbage collection.
        plain = ("interval", "monitor", "engine", *GRADIENT_SETTINGS)
        self.save_hyperparameters(*plain, frame=inspect.currentframe(), logger=False)
        self.automatic_optimization = False
        self.network = network
        self.objective = objective
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.interval = interval
        self.monitor = monitor
        self.requested_engine = engine
        self.step_rules = StepRules(
            clip_norm=gradient_clip_val if gradient_clip_algorithm == "norm" else None,
            clip_value=gradient_clip_val if gradient_clip_algorithm == "value" else None,
            accumulate=accumulate_grad_batches,
        )
        self.after_step: Callable[[], None] | None = None
        self.curves = Curves()
        self.ended: Tensor | None = None
        self._blocks: list[tuple[Tensor, list[int], Tensor]] = []  # of the running epoch: losses, sizes, correct
        self._validated: list[tuple[Tensor, Tensor, int]] = []  # batches of a validation: loss, accuracy, size

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's outputs: (S, B, D) -> (S, B, O)."""
        return self.network(x)

    def configure_model(self) -> None:
        """Flatten the network, once it is on its device and in its precision."""
        if self._trainer is not None:
            self.trainer.strategy.precision_plugin.convert_module(self.network)
            self.network.to(self.trainer.strategy.root_device)
        self.flat = FlatParameters(self.network)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer of the flat buffer, and its scheduler if there is one."""
        optimizer = BlockOptimizer(self.optimizer([self.flat.values]))
        if self.scheduler is None:
            return optimizer
        config = {"scheduler": self.scheduler(optimizer), "name": "lr"}
        return cast(OptimizerLRScheduler, {"optimizer": optimizer, "lr_scheduler": config})

    def on_fit_start(self) -> None:
        """Select the engine, and log if a slower one trains where only the native kernel's compilation failed."""
        optimizer = cast(BlockOptimizer, self.trainer.optimizers[0]).optimizer
        self.select_engine(optimizer)
        if self.requested_engine == "auto" and isinstance(self.engine, LayerwiseEngine):
            network: Any = self.network
            reason = unsupported_reason(network.layers, self.flat.values, optimizer)
            if isinstance(reason, KernelFailure):
                log.warning("Training takes several times longer, as the native kernel %s", reason)

    def select_engine(self, optimizer: Optimizer) -> None:
        """Select the engine that takes the steps of an optimizer of the flat buffer.

        Raises:
            SettingsError: If the native engine is required and cannot be used.
        """
        attached = self._trainer is not None
        mixed = attached and self.trainer.precision.endswith("mixed")
        by_seed = attached and isinstance(self.lr_schedulers(), SeedPlateau)
        self.engine = select_engine(
            self.network,
            self.objective,
            self.flat,
            optimizer,
            requested=self.requested_engine,
            mixed=mixed,
            rules=replace(self.step_rules, after_step=self.after_step, scale=by_seed),
        )

    def training_step(self, batch: Block | Batch, batch_idx: int) -> None:
        """Take a step on each mini-batch of a block, or on one mini-batch; the last block of an epoch ends it."""
        batches = batch if isinstance(batch, Block) else [self._stacked(batch)]
        if self.step_rules.accumulate > 1 and not isinstance(batch, Block):
            raise ValueError(
                "accumulate_grad_batches accumulates within a Block of mini-batches, as of this data module"
            )
        optimizer: Any = self.optimizers()
        outputs = optimizer.step(closure=partial(self._train, batches))
        self._keep(outputs, [target for _, target in batches])
        if self.trainer.is_last_batch or self.trainer.global_step == self.trainer.max_steps:
            self._end_epoch()

    def on_train_epoch_start(self) -> None:
        """Give each seed the rate that a scheduler by seed has for it."""
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, SeedPlateau) and len(scheduler.rates):
            self.flat.set_step_factors(scheduler.factors())

    def on_train_epoch_end(self) -> None:
        """Step a scheduler whose interval is an epoch."""
        scheduler = self.lr_schedulers()
        if scheduler is None or self.interval != "epoch":
            return
        if isinstance(scheduler, SeedPlateau):
            losses = self.curves.of_epochs()[self.monitor]
            if len(losses) == len(self.curves.step_loss):  # not after an epoch without validation
                scheduler.step(losses[-1])
                self.log("train/lr", scheduler.rates.mean().float())
        elif isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics[self.monitor])
        else:
            cast(LRScheduler, scheduler).step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss and the accuracy of a batch, mostly the whole validation split, and keep those of each seed."""
        loss, accuracy, size = self._evaluate(batch, "val")
        self._validated.append((loss.cpu(), accuracy.cpu(), size))

    def on_validation_epoch_end(self) -> None:
        """Store the validation loss and accuracy of each seed after an epoch of training."""
        validated, self._validated = self._validated, []
        if self.trainer.state.fn != TrainerFn.FITTING or self.trainer.sanity_checking:
            return
        *values, sizes = zip(*validated, strict=True)
        for curve, batches in zip((self.curves.val_loss, self.curves.val_accuracy), values, strict=True):
            unmeasured = len(self.curves.step_loss) - 1 - len(curve)  # epochs before, see check_val_every_n_epoch
            curve += [torch.full_like(batches[0], torch.nan)] * unmeasured
            curve.append(batches[0] if len(batches) == 1 else _weighted_mean(torch.stack(batches), sizes))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss and the accuracy of a batch of test samples."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the decisions of each seed for a batch, (S, B)."""
        return self.objective.decode(by_blocks(self.network, self._stacked(batch)[0]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the curves, and the random states of a network that draws numbers itself, to a checkpoint."""
        checkpoint["curves"] = {name: list(curve) for name, curve in vars(self.curves).items()}
        checkpoint["random_states"] = getattr(self.network, "random_states", [])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the curves and the random states; the checkpoint of a finished seed has none."""
        self.curves = Curves(**checkpoint.get("curves", {}))
        if states := checkpoint.get("random_states"):
            network: Any = self.network
            network.random_states = states

    def release(self) -> None:
        """Free weights, moments and data; afterwards neither the module nor its trainer can be used.

        The trainer, its loops, the module and the data refer to each other, so only a full garbage collection would
        free them. One per stack would take 0.1 s; without it the stacks of a sweep pile up.
        """
        if self._trainer is not None:
            vars(self.trainer).clear()
        vars(self).clear()

    def _stacked(self, batch: Batch) -> Batch:
        """Return a batch of every seed; one without the axis S is shared by all."""
        x, target = batch
        if target.dim() > 1:
            return x, target
        seeds = len(next(self.network.parameters()))
        return x.expand(seeds, *x.shape), target.expand(seeds, *target.shape)

    def _train(self, batches: list[Batch]) -> list[Tensor]:
        """Take a step on each mini-batch, and step a scheduler whose interval is a step after each."""
        scheduler = self.lr_schedulers()
        if scheduler is None or self.interval != "step":
            return self.engine.train(batches)
        (group,) = self.trainer.optimizers[0].param_groups
        schedule = []
        for _ in batches[:: self.step_rules.accumulate]:
            schedule.append({name: value for name, value in group.items() if name != "params"})
            cast(LRScheduler, scheduler).step()
        following = dict(group)
        outputs = self.engine.train(batches, schedule)
        group.update(following)
        return outputs

    def _evaluate(self, batch: Batch, split: str) -> tuple[Tensor, Tensor, int]:
        """Log the mean loss and accuracy of a batch, and return those of each seed, (S,), and the number of samples."""
        x, target = self._stacked(batch)
        output = by_blocks(self.network, x)  # (S, N, O)
        loss = self.objective.loss(output, target)
        accuracy = (self.objective.decode(output) == target).float().mean(-1)
        size = target.shape[1]
        self._log_means(split, loss, accuracy, size)
        return loss, accuracy, size

    def _log_means(self, split: str, loss: Tensor, accuracy: Tensor, size: int) -> None:
        """Log the means over the seeds of a loss and an accuracy, (S,), which weigh by the size within an epoch."""
        if not self._means_are_read():
            return
        means = {f"{split}/loss": loss.float().mean(), f"{split}/accuracy": accuracy.mean()}
        self.log_dict(means, on_step=False, on_epoch=True, batch_size=size)

    def _means_are_read(self) -> bool:
        """Return whether a logger, a callback or a scheduler may read what is logged, or who called the trainer."""
        trainer = self.trainer
        if trainer.state.fn != TrainerFn.FITTING or trainer.loggers or self.scheduler is not None:
            return True
        callbacks: list[L.Callback] = cast(Any, trainer).callbacks  # which Lightning sets without declaring it
        others = [callback for callback in callbacks if not isinstance(callback, SeedCallback)]
        return bool(others) or trainer.current_epoch + 1 == trainer.max_epochs

    @torch.no_grad()
    def _keep(self, outputs: list[Tensor], targets: list[Tensor]) -> None:
        """Store the losses and correct decisions of a block from each step's outputs (S, B, O) and target (S, B)."""
        correct = (self.objective.decode(torch.cat(outputs, dim=1)) == torch.cat(targets, dim=1)).sum(-1)  # (S,)
        self._blocks.append((self._losses(outputs, targets), [target.shape[1] for target in targets], correct))

    def _end_epoch(self) -> None:
        """Store the losses and the accuracy of an epoch."""
        blocks, self._blocks = self._blocks, []
        losses = torch.cat([losses for losses, _, _ in blocks])  # (steps, S)
        samples = [size for _, sizes, _ in blocks for size in sizes]
        mean = _weighted_mean(losses, samples)  # (S,)
        correct = torch.stack([correct for _, _, correct in blocks]).sum(0)  # (S,)
        accuracy = correct.float() / sum(samples)
        self.curves.step_loss.append(losses.cpu())
        self.curves.train_loss.append(mean.cpu())
        self.curves.train_accuracy.append(accuracy.cpu())
        self._log_means("train", mean, accuracy, 1)

    def _losses(self, outputs: list[Tensor], targets: list[Tensor]) -> Tensor:
        """Return the loss of every step, (steps, S), in one call for all mini-batches of one size."""
        parts = []
        for _, steps in groupby(zip(outputs, targets, strict=True), lambda step: step[1].shape):
            output, target = (torch.stack(tensors) for tensors in zip(*steps, strict=True))  # (steps, S, B, ...)
            parts.append(self.objective.loss(output.flatten(0, 1), target.flatten(0, 1)).view(target.shape[:2]))
        return torch.cat(parts)


def _weighted_mean(values: Tensor, sizes: Iterable[int]) -> Tensor:
    """Return the mean over mini-batches, (steps, S) -> (S,), weighted by their numbers of samples."""
    weights = values.new_tensor(list(sizes))  # (steps,)
    # A sum over the steps would round by S; a running sum does not.
    return (values * weights[:, None]).cumsum(0)[-1] / weights.sum()
