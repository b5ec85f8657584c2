import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.losses.ce import CrossEntropy

# The five rows of the slides: logits, labels, cross-entropies and softmax as printed there.
LOGITS = [(-0.0180, 0.0855), (-0.0244, 0.0741), (-0.0187, 0.0850), (-0.0258, 0.0687), (-0.0267, 0.0617)]
LABELS = [0, 0, 0, 1, 1]
CROSS_ENTROPIES = [0.74624, 0.74361, 0.74634, 0.64701, 0.64992]
SOFTMAX = [(0.4742, 0.5258), (0.4754, 0.5246), (0.4741, 0.5259), (0.4764, 0.5236), (0.4779, 0.5221)]

slides = torch.tensor([LOGITS], dtype=torch.float64)
labels = torch.tensor([LABELS])


def test_the_slides_cross_entropies() -> None:
    objective = CrossEntropy(classes=2)
    rows = [objective.loss(slides[:, [row]], labels[:, [row]]).item() for row in range(5)]
    assert rows == pytest.approx(CROSS_ENTROPIES, abs=1.1e-5)  # the printed logits are rounded too
    mean = objective.loss(slides, labels).item()
    assert mean == pytest.approx(0.706624521, abs=2e-6)
    assert f"{mean:.4f}" == "0.7066"


def test_the_slides_softmax_rows() -> None:
    rows = CrossEntropy(classes=2).probabilities(slides)[0]
    np.testing.assert_allclose(rows, SOFTMAX, rtol=0, atol=6e-5)  # the printed logits are rounded too


def test_the_slides_decisions() -> None:
    preds = CrossEntropy(classes=2).decode(slides)
    assert preds.tolist() == [[1, 1, 1, 1, 1]]
    assert (preds == labels).sum() == 2
    assert (preds == labels).double().mean() == 0.40


def test_equal_logits_cost_ln_c_and_decide_for_the_lowest_label() -> None:
    objective = CrossEntropy(classes=4)
    outputs = torch.zeros(1, 3, 4, dtype=torch.float64)
    assert objective.loss(outputs, torch.tensor([[0, 1, 3]])).item() == pytest.approx(math.log(4))
    assert objective.decode(outputs).tolist() == [[0, 0, 0]]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(shift=st.floats(-1e6, 1e6, allow_subnormal=False), number=st.integers(0, 1000))
def test_a_constant_added_to_all_logits_changes_nothing(shift: float, number: int) -> None:
    objective = CrossEntropy(classes=3)
    outputs = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    target = torch.arange(5).remainder(3).repeat(2, 1)
    torch.testing.assert_close(
        objective.loss(outputs + shift, target), objective.loss(outputs, target), atol=1e-8, rtol=0
    )
