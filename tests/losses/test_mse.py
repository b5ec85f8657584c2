import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.losses.mse import MeanSquaredError


def decode(*outputs: float, classes: int) -> list[int]:
    preds: list[int] = MeanSquaredError(classes).decode(torch.tensor(outputs)[None, :, None])[0].tolist()
    return preds


def test_two_classes_are_cut_at_a_half_as_on_the_slides() -> None:
    below, above = np.nextafter(np.float32(0.5), np.array([0, 1], np.float32)).tolist()
    assert decode(-3.0, 0.0, below, 0.5, above, 1.0, 7.0, classes=2) == [0, 0, 0, 0, 1, 1, 1]


def test_ties_go_to_the_lower_label_and_both_ends_are_clamped() -> None:
    assert decode(-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, classes=4) == [0, 0, 1, 2, 3, 3]
    assert decode(-1e30, -0.51, 3.49, 1e30, classes=4) == [0, 0, 3, 3]
    assert decode(-float("inf"), float("inf"), classes=4) == [0, 3]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    output=st.one_of(
        st.floats(-3, 9, width=32, allow_subnormal=False), st.integers(-8, 20).map(lambda halves: halves / 2)
    ),
    classes=st.integers(2, 6),
)
def test_the_nearest_label_wins(output: float, classes: int) -> None:
    distances = [abs(output - label) for label in range(classes)]  # index() finds the lower of two as near
    assert decode(output, classes=classes) == [distances.index(min(distances))]
