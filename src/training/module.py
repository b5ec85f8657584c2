"""The LightningModule that trains all seeds of a condition together."""

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.data.datamodule import Batch, Block
from src.engines.base import Engine, StepRules, change_settings, settings_of
from src.engines.block_optimizer import BlockOptimizer
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.compile import KernelFailure
from src.engines.native.engine import unsupported_reason
from src.engines.select import select_engine
from src.engines.substack import Stack, Substack
from src.losses.base import Objective
from src.metrics.predictions import by_blocks
from src.training.callbacks.base import SeedCallback
from src.training.callbacks.seed_history import SeedHistory
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
    train/loss, train/accuracy, val/loss and val/accuracy once per epoch, each the mean over the seeds that train.

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
        parts: Of consecutive networks their number and the optimizer's settings that are theirs alone, such as lr;
            empty where all have the same settings.

    Attributes:
        after_step: What a callback wants to be called after each step of the optimizer, by ``on_fit_start``.
        rate_factors: By what a callback multiplies the rate of each seed, (S,) or one for all, set by
            ``on_fit_start`` and before an epoch; None without such a callback.
        history: The callback that keeps the losses and accuracies of each seed.
        ended: The number of epochs, (S,), after which a callback stopped each seed, 0 for one that trains on; None
            without such a callback.
        substack: The seeds that train on, once a callback has stopped others; None while all train.
        trained_on: The device that trains, or has trained.
    """

    flat: FlatParameters

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: Callable[[Iterable[Any]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        *,
        interval: str = "epoch",
        monitor: str = "train/loss",
        engine: str = "auto",
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        accumulate_grad_batches: int = 1,
        parts: Sequence[tuple[int, dict[str, Any]]] = (),
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
        self.parts = parts
        self.step_rules = StepRules(
            clip_norm=gradient_clip_val if gradient_clip_algorithm == "norm" else None,
            clip_value=gradient_clip_val if gradient_clip_algorithm == "value" else None,
            accumulate=accumulate_grad_batches,
        )
        self.after_step: Callable[[], None] | None = None
        self.rate_factors: Tensor | None = None
        self.history = SeedHistory()
        self.ended: Tensor | None = None
        self.substack: Substack | None = None
        self.trained_on = torch.device("cpu")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, and not as ``nn.Module`` does what Lightning sets in every hook, some 30 times an epoch."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def curves(self) -> Curves:
        """Losses and accuracies of each seed in the finished epochs."""
        return self.history.curves

    def configure_callbacks(self) -> list[L.Callback]:
        """Return the callback that keeps the curves of each seed."""
        return [self.history]

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's outputs: (S, B, D) -> (S, B, O)."""
        return self.network(x)

    def configure_model(self) -> None:
        """Flatten the network, once it is on its device and in its precision."""
        if self._trainer is not None:
            self.trainer.strategy.precision_plugin.convert_module(self.network)
            self.network.to(self.trainer.strategy.root_device)
        self.flat = FlatParameters(self.network, [size for size, _ in self.parts] or None)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer of the flat buffer, with a group for each part, and its scheduler if there is one."""
        groups: list[Any] = [self.flat.values]
        if self.parts:
            groups = [{"params": [part], **own} for part, (_, own) in zip(self.flat.parts, self.parts, strict=True)]
        optimizer = BlockOptimizer(self.optimizer(groups))
        if self.scheduler is None:
            return optimizer
        config = {"scheduler": self.scheduler(optimizer), "name": "lr"}
        return cast(OptimizerLRScheduler, {"optimizer": optimizer, "lr_scheduler": config})

    def on_fit_start(self) -> None:
        """Begin with all seeds, select the engine, and log if a slower one trains as the kernel cannot be compiled."""
        self.ended = self.substack = None  # of an earlier training
        self.trained_on = self.device
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
        self.engine = self._engine(Stack(self.network, self.flat, optimizer), self.objective)

    def _engine(self, stack: Stack, objective: Objective) -> Engine:
        """Return the engine that takes the steps of a stack."""
        attached = self._trainer is not None
        mixed = attached and self.trainer.precision.endswith("mixed")
        by_seed = attached and (isinstance(self.lr_schedulers(), SeedPlateau) or self.rate_factors is not None)
        return select_engine(
            stack.network,
            objective,
            stack.flat,
            stack.optimizer,
            requested=self.requested_engine,
            mixed=mixed,
            rules=replace(self.step_rules, after_step=self.after_step, scale=by_seed),
        )

    def training_step(self, batch: Block | Batch, batch_idx: int) -> dict[str, Any]:
        """Take a step on each mini-batch of a block, or on one mini-batch.

        Returns:
            Of each step the losses, (steps, S), and the number of samples, sizes, and the number of correct
            decisions of each seed in all steps, (S,); NaN for a seed that a callback has stopped.
        """
        block = batch if isinstance(batch, Block) else Block.of([self._stacked(batch)])
        if self.step_rules.accumulate > 1 and not isinstance(batch, Block):
            raise ValueError(
                "accumulate_grad_batches accumulates within a Block of mini-batches, as of this data module"
            )
        block = self._of_trained(block)
        optimizer: Any = self.optimizers()
        outputs = optimizer.step(closure=partial(self._train, block))
        targets = [target for _, target in block]
        with torch.no_grad():
            decided = [self.objective.decode(output.flatten(0, 1)).view(output.shape[:3]) for output in outputs]
            right = [preds == target for preds, target in zip(decided, targets, strict=True)]
            correct = torch.stack([each.sum((0, 2)) for each in right]).sum(0)
            losses = self.losses(outputs, targets)
        sizes = [size for target in targets for size in [target.shape[2]] * len(target)]
        return {"losses": self._of_all(losses), "sizes": sizes, "correct": self._of_all(correct)}

    def on_train_epoch_start(self) -> None:
        """Leave out the seeds that a callback has stopped, and give each the rate that is its own."""
        self._leave_out_stopped()
        if (factors := self._factors()) is not None:
            self.flat.set_factors(factors)
            if self.substack is not None:
                self.substack.set_factors(factors)

    def on_train_end(self) -> None:
        """Take all seeds in again."""
        self.substack = None

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

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Log the loss and the accuracy of a batch of validation samples, and return those of each seed, (S,)."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Log the loss and the accuracy of a batch of test samples, and return those of each seed, (S,)."""
        return self._evaluate(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the decisions of each seed for a batch, (S, B)."""
        return self.objective.decode(by_blocks(self.network, self._stacked(batch)[0]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random states of a network that draws numbers itself to a checkpoint."""
        checkpoint["random_states"] = getattr(self.network, "random_states", [])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the random states; the checkpoint of a finished seed has none."""
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

    def _factors(self) -> Tensor | None:
        """Return by what the rate of the optimizer is multiplied for each seed, (S,), or None for one rate of all."""
        scheduler, factors = self.lr_schedulers(), self.rate_factors
        if isinstance(scheduler, SeedPlateau) and len(scheduler.rates):
            factors = scheduler.factors() * (1 if factors is None else factors)
        return factors

    def rates(self) -> Tensor | None:
        """Return the learning rate of each seed, (S,), or None where all have that of the optimizer."""
        if self.rate_factors is None and not isinstance(self.lr_schedulers(), SeedPlateau):
            return None
        (group,) = self.trainer.optimizers[0].param_groups
        factors = self._factors()
        seeds = len(next(self.network.parameters()))
        return float(group["lr"]) * (torch.ones(()) if factors is None else factors).float().expand(seeds)

    def _leave_out_stopped(self) -> None:
        """Train the seeds that were not stopped as a stack of their own; not where a callback follows each step."""
        if self.ended is None or self.after_step is not None or self.parts:
            return
        seeds = (self.ended == 0).nonzero().flatten()  # (A,)
        training = len(self.ended) if self.substack is None else len(self.substack.seeds)
        if 0 < len(seeds) < training:
            optimizer = cast(BlockOptimizer, self.trainer.optimizers[0]).optimizer
            whole = Stack(self.network, self.flat, optimizer)
            self.substack = Substack(whole, self.objective, seeds, self.optimizer, self._engine)

    def _of_trained(self, block: Block) -> Block:
        """Return the mini-batches of the A seeds that are trained, (steps, A, B, D) and (steps, A, B)."""
        if self.substack is None:
            return block
        seeds = self.substack.seeds
        return Block((x[:, seeds], target[:, seeds]) for x, target in block)

    def _of_all(self, values: Tensor) -> Tensor:
        """Return values of the A seeds that are trained, (..., A), among those of all, (..., S)."""
        return values if self.substack is None else self.substack.spread(values)

    def _stacked(self, batch: Batch) -> Batch:
        """Return a batch of every seed; one without the axis S is shared by all."""
        x, target = batch
        if target.dim() > 1:
            return x, target
        seeds = len(next(self.network.parameters()))
        return x.expand(seeds, *x.shape), target.expand(seeds, *target.shape)

    def _train(self, block: Block) -> list[Tensor]:
        """Take a step on each mini-batch, and step a scheduler whose interval is a step after each."""
        scheduler = self.lr_schedulers()
        engine = self.substack or self.engine
        if scheduler is None or self.interval != "step":
            return engine.train(block)
        optimizer = self.trainer.optimizers[0]
        schedule = []
        for _ in range(0, sum(len(target) for _, target in block), self.step_rules.accumulate):
            schedule.append(settings_of(optimizer))
            cast(LRScheduler, scheduler).step()
        following = settings_of(optimizer)
        outputs = engine.train(block, schedule)
        change_settings(optimizer, following)
        return outputs

    def _evaluate(self, batch: Batch, split: str) -> dict[str, Any]:
        """Log the mean loss and accuracy of a batch, and return those of each seed, (S,), and the size of the batch."""
        x, target = self._stacked(batch)
        output = by_blocks(self.network, x)  # (S, N, O)
        loss = self.objective.loss(output, target)
        accuracy = (self.objective.decode(output) == target).float().mean(-1)
        size = target.shape[1]
        self.log_means(split, loss, accuracy, size)
        return {"loss": loss, "accuracy": accuracy, "size": size}

    def log_means(self, split: str, loss: Tensor, accuracy: Tensor, size: int) -> None:
        """Log the means of a loss and an accuracy, (S,), over the trained seeds, weighted by the size in an epoch."""
        if not self._means_are_read():
            return
        if self.substack is not None:
            loss, accuracy = loss[self.substack.seeds], accuracy[self.substack.seeds]
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

    def losses(self, outputs: list[Tensor], targets: list[Tensor]) -> Tensor:
        """Return the loss of every step, (steps, A), by outputs (steps, A, B, O) and targets (steps, A, B) by size."""
        objective = (self.substack or self).objective
        return torch.cat(
            [
                objective.loss(output.flatten(0, 1), target.flatten(0, 1)).view(target.shape[:2])
                for output, target in zip(outputs, targets, strict=True)
            ]
        )
