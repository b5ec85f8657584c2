"""A learning rate for each seed, from a short training with rising rates."""

from itertools import chain, repeat
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from src.data.datamodule import Block, EpochLoader
from src.engines.block_optimizer import BlockOptimizer
from src.training.callbacks.base import SeedCallback
from src.training.module import StackedClassifier
from src.utils.validation import Problem, check, number, whole

SMOOTHING = 0.98  # weight of the earlier losses in the moving average
DIVERGED = 4.0  # times the smallest smoothed loss, above which the rates of a seed end
SKIPPED = 10  # first steps, whose average is of few losses
BELOW = 10  # by what a rate is divided


class LearningRateFinder(SeedCallback):
    """Trains each seed with a rate of its own, found by a test of rising rates (Smith 2017).

    Before the training all seeds take some steps with rates that rise by a constant factor, after which the
    weights, the shuffles and everything else are as before. ``suggested_rate`` says which rate follows from the losses
    of a seed; one without any keeps that of the optimizer. A scheduler multiplies each rate.

    Args:
        min_lr: The first rate, above 0.
        max_lr: The last rate, above the first.
        steps: Steps of the search, at least 20.

    Raises:
        SettingsError: If an argument is out of its range.
    """

    def __init__(self, min_lr: float, max_lr: float, steps: int) -> None:
        check(
            number("min_lr", min_lr, above=0, below=1e30),
            number("max_lr", max_lr, above=0, below=1e30),
            whole("steps", steps, min_value=20, max_value=10**6),
        )
        check(Problem("max_lr", f"above min_lr, which is {min_lr:g}", max_lr) if max_lr <= min_lr else None)
        self.rates = np.geomspace(min_lr, max_lr, steps)
        self.found = torch.empty(0)  # (S,)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for rates by seed, before the engine is selected."""
        cast(StackedClassifier, pl_module).rate_factors = torch.ones(())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Search for the rates."""
        classifier = cast(StackedClassifier, pl_module)
        loader = trainer.train_dataloader
        if not isinstance(loader, EpochLoader):
            raise TypeError("LearningRateFinder needs the data module of this project, whose shuffles it restores")
        (group,) = trainer.optimizers[0].param_groups
        self.default = float(group["lr"])
        shuffles = [generator.get_state() for generator in loader.generators]
        network: Any = classifier.network
        values, buffers = classifier.flat.values.detach().clone(), [buffer.clone() for buffer in network.buffers()]
        drawn = getattr(network, "random_states", [])
        settings = {name: value for name, value in group.items() if name != "params"}

        after_step, classifier.after_step = classifier.after_step, None  # what averages weights would average these
        classifier.select_engine(cast(BlockOptimizer, trainer.optimizers[0]).optimizer)
        accumulate = classifier.step_rules.accumulate
        block = trainer.strategy.batch_to_device(self._block(loader, accumulate))
        outputs = classifier.engine.train(block, [[settings | {"lr": float(rate)}] for rate in self.rates])
        losses = classifier.losses(outputs, [target for _, target in block])  # (steps * accumulate, S)
        losses = losses.unflatten(0, (-1, accumulate)).mean(1).float().cpu().numpy()

        classifier.after_step = after_step
        classifier.select_engine(cast(BlockOptimizer, trainer.optimizers[0]).optimizer)
        classifier.flat.values.data.copy_(values)
        for buffer, before in zip(network.buffers(), buffers, strict=True):
            buffer.copy_(before)
        if drawn:
            network.random_states = drawn
        for generator, state in zip(loader.generators, shuffles, strict=True):
            generator.set_state(state)
        trainer.optimizers[0].state.clear()
        group.update(settings)
        found = np.array([suggested_rate(column, self.rates) for column in losses.T])
        self.found = torch.from_numpy(np.where(np.isnan(found), self.default, found))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give each seed its rate."""
        cast(StackedClassifier, pl_module).rate_factors = self.found / self.default

    def state_dict(self) -> dict[str, Any]:
        """Return the rates, (S,)."""
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rates of a checkpoint."""
        self.found = state_dict["found"]

    def _block(self, loader: EpochLoader, accumulate: int) -> Block:
        """Return the mini-batches of the search, so many for each step."""
        block, missing = Block(), len(self.rates) * accumulate
        for x, target in chain.from_iterable(chain.from_iterable(repeat(loader))):
            block.append((x[:missing], target[:missing]))
            missing -= len(target)
            if missing <= 0:
                break
        return block


def suggested_rate(losses: NDArray[np.floating], rates: NDArray[np.floating]) -> float:
    """Return a tenth of the rate at which the loss of one seed is smallest, an order of magnitude below divergence.

    The loss is a moving average, as in ``lightning.pytorch.tuner``. What comes before its first ``SKIPPED`` steps, or
    once it is larger than ``DIVERGED`` times its minimum so far or not finite, does not count.

    Args:
        losses: The loss of each step, (steps,).
        rates: The rate of each step, (steps,), rising.

    Returns:
        The rate; NaN where no step counts.

    Example:
        >>> rates = np.geomspace(1e-4, 1, 200)
        >>> losses = np.where(rates < 0.1, 1 / (1 + 100 * rates), 50.0)
        >>> bool(0.009 < suggested_rate(losses, rates) < 0.011)
        True
    """
    average = np.empty(len(losses))
    moving = 0.0
    for step, loss in enumerate(losses):
        moving = SMOOTHING * moving + (1 - SMOOTHING) * float(loss)
        average[step] = moving / (1 - SMOOTHING ** (step + 1))
    ends = np.flatnonzero(~(average <= DIVERGED * np.fmin.accumulate(average)))
    counted = average[SKIPPED : ends[0] if len(ends) else len(average)]
    return float(rates[SKIPPED + counted.argmin()]) / BELOW if len(counted) else float("nan")
