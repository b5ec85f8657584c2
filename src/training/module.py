"""The LightningModule that trains all seeds of a condition together."""

import logging
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.data.datamodule import Batch, Block
from src.engines.flat_parameters import FlatParameters
from src.engines.layerwise import LayerwiseEngine
from src.engines.native.compile import KernelFailure
from src.engines.native.engine import unsupported_reason
from src.engines.select import select_engine
from src.losses.base import Objective
from src.metrics.predictions import by_blocks
from src.training.history import Curves

log = logging.getLogger(__name__)


class StackedClassifier(L.LightningModule):
    """S networks, one objective and one optimizer that does not couple the seeds.

    The sum of the seeds' losses is back-propagated, so the gradient of each seed is that of its own loss; the
    optimizer is element-wise on one flat buffer. One ``training_step`` consumes a block of mini-batches, usually an
    epoch, which saves Lightning's overhead per step.

    Args:
        network: A module (S, B, D) -> (S, B, O), whose parameters all lead with S.
        objective: Loss and decision rule.
        optimizer: Builds an element-wise optimizer from parameters.
        engine: ``auto``, ``native`` or ``torch``, see ``src.engines.select``.

    Attributes:
        curves: Losses and accuracies of the finished epochs.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.objective = objective
        self.optimizer = optimizer
        self.requested_engine = engine
        self.curves = Curves()
        self._blocks: list[tuple[Tensor, list[int], Tensor]] = []  # of the running epoch: losses, sizes, correct

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's outputs: (S, B, D) -> (S, B, O)."""
        return self.network(x)

    def configure_optimizers(self) -> Optimizer:
        """Flatten the network, which is on its device already, and build the optimizer on the buffer."""
        self.flat = FlatParameters(self.network)
        optimizer = self.optimizer([self.flat.values])
        mixed = self._trainer is not None and self.trainer.precision.endswith("mixed")
        self.engine = select_engine(
            self.network, self.objective, self.flat, optimizer, requested=self.requested_engine, mixed=mixed
        )
        return optimizer

    def on_train_start(self) -> None:
        """Log that a slower engine trains where only the compilation of the native kernel failed."""
        if self.requested_engine == "auto" and isinstance(self.engine, LayerwiseEngine):
            network: Any = self.network
            reason = unsupported_reason(network.layers, self.flat.values, self.trainer.optimizers[0])
            if isinstance(reason, KernelFailure):
                log.warning("Training takes several times longer, as the native kernel %s", reason)

    def training_step(self, batches: Block, _: int) -> None:
        """Take a step on each mini-batch of a block; the last block of an epoch ends it."""
        self._keep(self.engine.train(batches), [target for _, target in batches])
        if self.trainer.is_last_batch:
            self._end_epoch()

    def release(self) -> None:
        """Free weights, moments and data; afterwards neither the module nor its trainer can be used.

        The trainer, its loops, the module and the data refer to each other, so only a full garbage collection would
        free them. One per stack would take 0.1 s; without it the stacks of a sweep pile up.
        """
        if self._trainer is not None:
            vars(self.trainer).clear()
        vars(self).clear()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Store the loss and accuracy of the validation split, which is one batch."""
        x, target = batch
        output = by_blocks(self.network, x)  # (S, N, O)
        self.curves.val_loss.append(self.objective.loss(output, target).cpu())
        correct = self.objective.decode(output) == target
        self.curves.val_accuracy.append(correct.float().mean(-1).cpu())

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
        weights = losses.new_tensor(samples)  # (steps,)
        # A sum over the steps would round by S; a running sum does not.
        mean = (losses * weights[:, None]).cumsum(0)[-1] / weights.sum()  # (S,)
        correct = torch.stack([correct for _, _, correct in blocks]).sum(0)  # (S,)
        self.curves.step_loss.append(losses.cpu())
        self.curves.train_loss.append(mean.cpu())
        self.curves.train_accuracy.append((correct.float() / sum(samples)).cpu())

    def _losses(self, outputs: list[Tensor], targets: list[Tensor]) -> Tensor:
        """Return the loss of every step, (steps, S), in one call for all mini-batches of one size."""
        parts = []
        for _, steps in groupby(zip(outputs, targets, strict=True), lambda step: step[1].shape):
            output, target = (torch.stack(tensors) for tensors in zip(*steps, strict=True))  # (steps, S, B, ...)
            parts.append(self.objective.loss(output.flatten(0, 1), target.flatten(0, 1)).view(target.shape[:2]))
        return torch.cat(parts)
