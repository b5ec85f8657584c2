import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy


def test_decisions_and_probabilities_are_those_of_the_softmax() -> None:
    outputs = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = SoftmaxCrossEntropy(classes=4)
    assert torch.equal(objective.decode(outputs), outputs.argmax(-1))
    assert torch.equal(objective.probabilities(outputs), CrossEntropy(classes=4).probabilities(outputs))


@pytest.mark.parametrize(("classes", "floor"), [(2, 0.3133), (4, 0.7437)])
def test_the_floor_is_that_of_the_slides_loop_and_is_reached_in_the_limit(classes: int, floor: float) -> None:
    objective = SoftmaxCrossEntropy(classes)
    assert objective.floor == pytest.approx(math.log(1 + (classes - 1) / math.e), abs=1e-12)
    assert round(objective.floor, 4) == floor
    target = torch.arange(classes)[None]
    for size, gap in ((1.0, 1.0), (10.0, 1e-3), (1000.0, 1e-12)):
        outputs = size * nn.functional.one_hot(target).double()
        excess = objective.loss(outputs, target).item() - objective.floor
        assert -1e-12 <= excess < gap


@settings(max_examples=200, deadline=None, derandomize=True)
@given(classes=st.integers(2, 6), data=st.data())
def test_no_outputs_undercut_the_floor(classes: int, data: st.DataObject) -> None:
    number = st.floats(-1e4, 1e4, allow_subnormal=False)
    row = data.draw(st.lists(number, min_size=classes, max_size=classes))
    label = data.draw(st.integers(0, classes - 1))
    objective = SoftmaxCrossEntropy(classes)
    loss = objective.loss(torch.tensor([[row]], dtype=torch.float64), torch.tensor([[label]])).item()
    assert loss >= objective.floor - 1e-12
    assert loss <= math.log(classes - 1 + math.e) + 1e-12


def test_at_the_floor_the_correct_form_is_near_zero() -> None:
    outputs, target = torch.tensor([[[20.0, -20.0]]]), torch.tensor([[0]])
    assert SoftmaxCrossEntropy(classes=2).loss(outputs, target).item() == pytest.approx(0.31326, abs=1e-5)
    assert CrossEntropy(classes=2).loss(outputs, target).item() < 1e-6
