"""Metrics of a test set whose distribution is unknown: of classes however rare, and of probabilities."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, f1_score, recall_score, roc_auc_score
from torch import Tensor

from src.metrics.predictions import Predictions

_MAX_LOG_TEMPERATURE = 5.0
Floats = NDArray[np.floating]


def class_metrics(predictions: Predictions, target: Tensor, train_target: Tensor) -> dict[str, float]:
    """Return metrics of the test samples of one network, whose distribution is unknown.

    ``test/balanced_accuracy`` is the mean over the classes of the share of their samples that are right,
    ``test/macro_f1`` that of their F1 scores, ``test/auroc`` that of the areas under their ROC curves, one against the
    rest, where there are probabilities; ``test/majority_accuracy`` is the accuracy of always deciding for the largest
    class of the training samples, a reference. A class without test samples does not count.

    Args:
        predictions: What was predicted for the test samples.
        target: Their classes, (N,).
        train_target: The classes of the training samples, (n,).
    """
    true, preds = target.numpy(), predictions.preds.numpy()
    present = np.unique(true)
    metrics = {
        "test/balanced_accuracy": float(recall_score(true, preds, labels=present, average="macro")),
        "test/macro_f1": float(f1_score(true, preds, labels=present, average="macro", zero_division=0)),
        "test/majority_accuracy": float((target == train_target.bincount().argmax()).double().mean()),
    }
    if predictions.probabilities is not None and len(present) > 1:
        scores = predictions.probabilities.numpy()
        areas = [roc_auc_score(true == label, scores[:, label]) for label in present]
        metrics["test/auroc"] = float(np.mean(areas))
    if predictions.probabilities is not None:
        metrics |= proper_scores(predictions.probabilities.numpy(), true)
    return metrics


def proper_scores(probabilities: Floats, target: NDArray[np.integer]) -> dict[str, float]:
    r"""Return two proper scores of the probabilities of a test set, and the parts of each.

    ``test/log_loss`` is the mean of -ln q(y) and ``test/brier`` that of the squared distance of q from the indicator of
    the class, summed over the classes. The *refinement* part of a score S is what is left after the best recalibration
    by a temperature, :math:`\min_T S(q^{1/T} / \sum q^{1/T})`, and the *calibration* part is what that removes (Berta,
    Bach and Jordan 2025): a network that separates the classes but is too sure of itself has a large one.

    Args:
        probabilities: Of each sample and class, (N, C); zeros count as the smallest normal number.
        target: The classes, (N,).

    Example:
        >>> scores = proper_scores(np.array([[0.99, 0.01], [0.99, 0.01], [0.01, 0.99]]), np.array([0, 1, 1]))
        >>> print(f"{scores['test/log_loss']:.3f} {scores['test/log_loss_refinement']:.3f}")
        1.542 0.637
    """
    log = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    indicator = np.arange(log.shape[1]) == target[:, None]
    scores: dict[str, Callable[[Floats], float]] = {
        "log_loss": lambda q: float(-np.log(np.maximum(q[indicator], np.finfo(float).tiny)).mean()),
        "brier": lambda q: float(np.square(q - indicator).sum(axis=1).mean()),
    }
    metrics: dict[str, float] = {}
    for name, score in scores.items():
        given = score(probabilities)
        ends = (-_MAX_LOG_TEMPERATURE, _MAX_LOG_TEMPERATURE)
        best = minimize_scalar(lambda t, score=score: score(softmax(log / np.exp(t), axis=1)), bounds=ends).fun
        refinement = min(given, float(best))
        metrics |= {f"test/{name}": given, f"test/{name}_refinement": refinement}
        metrics[f"test/{name}_calibration"] = given - refinement
    return metrics


def confusion(preds: Tensor, target: Tensor, classes: int) -> NDArray[np.integer]:
    """Return how many samples of each class were decided to be of each: (C, C), a row per true class."""
    counts: NDArray[np.integer] = confusion_matrix(target.numpy(), preds.numpy(), labels=range(classes))
    return counts
