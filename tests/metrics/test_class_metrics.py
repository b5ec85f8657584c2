"""Metrics of unequal classes against scikit-learn's, and against their definitions."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss, roc_auc_score

from src.metrics.class_metrics import class_metrics, confusion, proper_scores
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


@pytest.mark.parametrize(("seed", "classes"), [(0, 2), (1, 3), (2, 3)])
def test_scores_are_scikit_learns_and_refinement_the_best_of_a_grid(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits = 6 * rng.normal(size=(80, classes))
    target = np.argmax(logits / 6 + rng.gumbel(size=logits.shape), axis=1)
    target[:classes] = range(classes)
    q = softmax(logits, axis=1)
    found = proper_scores(q, target)
    assert found["test/log_loss"] == pytest.approx(log_loss(target, q), rel=1e-9)
    brier = brier_score_loss(target, q if classes > 2 else q[:, 1], labels=range(classes), scale_by_half=False)
    assert found["test/brier"] == pytest.approx(brier, rel=1e-9)
    grid = [proper_scores(softmax(logits / t, axis=1), target) for t in np.geomspace(0.5, 50, 400)]
    for name in ("test/log_loss", "test/brier"):
        best = min(each[name] for each in grid)
        assert found[f"{name}_refinement"] == pytest.approx(best, rel=1e-4)
        assert found[f"{name}_calibration"] == pytest.approx(found[name] - best, rel=1e-3)
        assert found[f"{name}_calibration"] > 0.1  # six times as sure as it may be


def test_a_calibrated_network_has_hardly_any_calibration_part() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    target = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    found = proper_scores(softmax(logits, axis=1), target)
    assert 0 <= found["test/log_loss_calibration"] < 1e-3
    assert 0 <= found["test/brier_calibration"] < 1e-3
    certain = proper_scores(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 1]))
    assert all(map(np.isfinite, certain.values()))
