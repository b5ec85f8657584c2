"""Metrics of a test set that treat every class alike, however rare it is."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, recall_score, roc_auc_score
from torch import Tensor

from src.metrics.predictions import Predictions


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
    return metrics


def confusion(preds: Tensor, target: Tensor, classes: int) -> NDArray[np.integer]:
    """Return how many samples of each class were decided to be of each: (C, C), a row per true class."""
    counts: NDArray[np.integer] = confusion_matrix(target.numpy(), preds.numpy(), labels=range(classes))
    return counts
