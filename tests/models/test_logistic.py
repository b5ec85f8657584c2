"""Logistic regression, softmax regression and least squares reach the optimum of their formulas."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from src.config.instantiate import Components, build_components, build_trainer, stack
from src.training.fit import fit

FULL = ("data.batch_size=1000", "seed=[0,1]", "optimizer.lr=0.3")


def trained(composed: dict[str, Any]) -> tuple[Components, torch.Tensor]:
    """Return the parts after training, and their outputs (S, N, O) for the training samples."""
    parts = build_components(composed, stack(composed))
    fit(parts.classifier, parts.datamodule, build_trainer(composed, []))
    with torch.no_grad():
        return parts, parts.network(parts.datamodule.train.x)


@pytest.mark.filterwarnings("ignore:Setting penalty=None")  # which scikit-learn 1.8 says of C=inf
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_reaches_scikit_learns_optimum(
    classes: int, settings: Callable[..., dict[str, Any]]
) -> None:
    parts, outputs = trained(settings("model=logistic", f"classes={classes}", "trainer.max_epochs=700", *FULL))
    data = parts.datamodule.train
    assert outputs.shape[-1] == (1 if classes == 2 else classes)
    for seed in range(2):
        x, target = data.x[seed].double().numpy(), data.target[seed].numpy()
        reference = LogisticRegression(C=math.inf, tol=1e-10, max_iter=10_000).fit(x, target)
        optimum = log_loss(target, reference.predict_proba(x))
        loss = parts.objective.loss(outputs, data.target)[seed].item()
        assert optimum - 1e-6 < loss < optimum + 1e-4
        np.testing.assert_array_equal(parts.objective.decode(outputs)[seed], (reference.predict(x)))


def test_linear_regression_reaches_the_least_squares_solution(settings: Callable[..., dict[str, Any]]) -> None:
    parts, outputs = trained(settings("model=linear", "loss=mse", "trainer.max_epochs=400", *FULL))
    data = parts.datamodule.train
    for seed in range(2):
        x, target = data.x[seed].double().numpy(), data.target[seed].numpy()
        design = np.column_stack([x, np.ones(len(x))])
        solution, squares, *_ = np.linalg.lstsq(design, target, rcond=None)
        assert parts.objective.loss(outputs, data.target)[seed].item() == pytest.approx(squares[0] / len(x), abs=1e-6)
        np.testing.assert_allclose(outputs[seed, :, 0], design @ solution, atol=1e-3)
