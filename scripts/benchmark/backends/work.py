"""The work of every backend: some networks, their samples and the lecture's recipe for cross-entropy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from src.config.instantiate import Components, build_components, stack
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve

Array = np.ndarray[Any, Any]
Layers = list[tuple[Array, Array]]  # of each layer, weight (S, in, out) and bias (S, out)
Pause = Callable[[], None]


@dataclass(frozen=True)
class Work:
    """Some networks to train, for several segments of epochs.

    A backend is a module with ``train(work, pause) -> Layers``: it trains the S networks from their initial parameters,
    calls ``pause`` after each segment, continues, and returns the parameters in the end.
    """

    settings: dict[str, Any]  # the resolved settings of losslab
    segments: tuple[int, ...]  # epochs of each segment; the first is not measured
    chunk: int | None = None  # maximum number of networks in one batched computation, or None

    @cached_property
    def parts(self) -> Components:
        """Data, objective, network and classifier, untrained."""
        parts = build_components(self.settings, stack(self.settings))
        parts.datamodule.setup()
        return parts

    @property
    def x(self) -> Array:
        """The training samples (S, N, D), float32."""
        return self.parts.datamodule.train.x.numpy()

    @property
    def target(self) -> Array:
        """Their labels (S, N), int64."""
        return self.parts.datamodule.train.target.numpy()

    @property
    def layers(self) -> Layers:
        """The parameters of the networks as they are now: the initial ones, for a backend that trains a copy."""
        tensors = [value.numpy(force=True).copy() for value in self.parts.network.state_dict().values()]
        return [(weight, bias.reshape(len(bias), -1)) for weight, bias in zip(tensors[::2], tensors[1::2], strict=True)]

    @property
    def batch_size(self) -> int:
        """Samples in a mini-batch."""
        return int(self.settings["data"]["batch_size"])

    @property
    def lr(self) -> float:
        """Adam's learning rate."""
        return float(self.settings["optimizer"]["lr"])


def work(
    seeds: Sequence[int], segments: Sequence[int], chunk: int | None = None, overrides: Sequence[str] = ()
) -> Work:
    """Return the work on some seeds, with overrides of losslab's settings."""
    words = ["loss=ce", "classes=2", f"seed=[{','.join(map(str, seeds))}]", f"trainer.max_epochs={sum(segments)}"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        settings = resolve(compose("train", overrides=[*words, *overrides]))
    return Work(settings, tuple(segments), chunk)


def cross_entropy(layers: Layers, x: Array, target: Array) -> Array:
    """Return the loss of each network on its samples: x (S, N, D), target (S, N) -> (S,)."""
    hidden = x.astype(np.float64)
    for index, (weight, bias) in enumerate(layers):
        hidden = (np.maximum(hidden, 0) if index else hidden) @ weight + bias[:, None]
    right = np.take_along_axis(hidden, target[..., None], axis=-1)[..., 0]
    return np.asarray((np.logaddexp.reduce(hidden, axis=-1) - right).mean(axis=-1))
