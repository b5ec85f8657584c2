import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from src.losses.ce import CrossEntropy


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


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_probabilities_of_a_row_do_not_depend_on_the_others(classes: int, dtype: torch.dtype) -> None:
    outputs = 6 * torch.randn(2, 150, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = CrossEntropy(classes)
    together = objective.probabilities(outputs.to(dtype))
    expected, accuracy = softmax(outputs.numpy(), axis=-1), 1e-5 if dtype == torch.float32 else 1e-13
    np.testing.assert_allclose(together, expected, rtol=accuracy)
    for start, count in ((0, 1), (1, 1), (3, 7), (17, 64), (20, 129)):
        rows = (slice(1, 2), slice(start, start + count))
        assert torch.equal(objective.probabilities(outputs[rows].to(dtype)), together[rows])
