"""Blocks of mini-batches, as engines are given them."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from src.data.datamodule import Batch, Block
from src.engines.base import Engine, Schedule
from src.engines.substack import Substack


def block_of(batches: Iterable[Batch]) -> Block:
    """Return mini-batches, (S, B, D) and (S, B) each, as a block, in which those of a size are together."""
    runs = [list(run) for _, run in groupby(batches, key=lambda batch: batch[1].shape)]
    return Block((torch.stack([x for x, _ in run]), torch.stack([target for _, target in run])) for run in runs)


def train_on(engine: Engine | Substack, batches: Sequence[Batch], schedule: Schedule = ()) -> list[Tensor]:
    """Take a step on each of some mini-batches, and return the outputs before each, (S, B, O)."""
    return [outputs for of_size in engine.train(block_of(batches), schedule) for outputs in of_size]
