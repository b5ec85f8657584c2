import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
