"""Metrics of unequal classes against scikit-learn's, and against their definitions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from src.metrics.class_metrics import class_metrics, confusion
from src.metrics.predictions import Predictions


def drawn(seed: int, classes: int = 3, size: int = 60) -> tuple[Predictions, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(size, classes, generator=generator, dtype=torch.float64)
    target = torch.multinomial(torch.tensor([0.8, 0.15, 0.05]), size, replacement=True, generator=generator)
    target[:classes] = torch.arange(classes)
    probabilities = scores / scores.sum(1, keepdim=True)
    return Predictions(probabilities.argmax(1), probabilities), target


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    predictions, target = drawn(seed)
    found = class_metrics(predictions, target, torch.tensor([2, 0, 0]))
    true, preds = target.numpy(), predictions.preds.numpy()
    assert found["test/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, preds), abs=1e-12)
    area = roc_auc_score(true, predictions.probabilities.numpy(), multi_class="ovr", average="macro")
    assert found["test/auroc"] == pytest.approx(area, abs=1e-12)
    assert found["test/majority_accuracy"] == pytest.approx(np.mean(true == 0), abs=1e-12)
    precision, recall = (
        [np.mean(one[other == label] == label) for label in range(3)] for one, other in ((true, preds), (preds, true))
    )
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)]
    assert found["test/macro_f1"] == pytest.approx(np.mean(f1), abs=1e-12)


def test_a_network_that_always_decides_for_the_largest_class_is_at_chance() -> None:
    target = torch.tensor([0] * 95 + [1] * 5)
    found = class_metrics(Predictions(torch.zeros(100, dtype=torch.int64), None), target, target)
    assert found["test/majority_accuracy"] == 0.95
    assert found["test/balanced_accuracy"] == 0.5
    assert "test/auroc" not in found


def test_the_confusion_matrix_has_a_row_per_true_class() -> None:
    counts = confusion(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 0]), 3)
    assert counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
