"""The backend ``sklearn``: scikit-learn's MLPClassifier, with one logistic output for two classes instead of two."""

import warnings
from itertools import accumulate
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from scripts.benchmark.backends.work import Array, Layers, Pause, Work


class Paced(MLPClassifier):
    """An MLPClassifier that starts from given parameters, pauses between segments, and never stops early."""

    def pace(self, layers: Layers, ends: set[int], pause: Pause) -> "Paced":
        """Set the initial parameters and when to pause."""
        self.given, self.ends, self.pause = list(layers), ends, pause
        return self

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[Array, Array]:
        weight, bias = self.given.pop(0)
        return weight[0, :, :fan_out].astype(dtype), bias[0, :fan_out].astype(dtype)

    def _update_no_improvement_count(self, *_: Any) -> None:
        if self.n_iter_ in self.ends:
            self.pause()


def train(work: Work, pause: Pause) -> Layers:
    """Train the first network; the second of its two outputs is the logistic one, the first stays zero."""
    hidden = [bias.shape[1] for _, bias in work.layers[:-1]]
    head, head_bias = work.layers[-1]
    model = Paced(
        hidden,
        batch_size=work.batch_size,
        learning_rate_init=work.lr,
        alpha=0,
        max_iter=sum(work.segments),
        random_state=0,
    )
    difference = (head[..., 1:] - head[..., :1], head_bias[..., 1:] - head_bias[..., :1])
    model.pace([*work.layers[:-1], difference], set(accumulate(work.segments)), pause)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(work.x[0], work.target[0])
    trained = list(zip(model.coefs_, model.intercepts_, strict=True))
    weight, bias = trained.pop()
    two = np.concatenate([0 * weight, weight], axis=1), np.concatenate([0 * bias, bias])
    return [(weight[None], bias[None]) for weight, bias in [*trained, two]]
