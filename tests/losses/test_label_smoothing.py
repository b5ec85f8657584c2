import math

import pytest
import torch

from src.losses.ce import CrossEntropy
from src.losses.label_smoothing import LabelSmoothing
from tests.losses.cases import random_outputs


def test_without_smoothing_it_is_the_cross_entropy() -> None:
    outputs, target = random_outputs(3, 3)
    objective = LabelSmoothing(3, smoothing=0)
    torch.testing.assert_close(objective.loss(outputs, target), CrossEntropy(3).loss(outputs, target))
    assert objective.floor == 0


@pytest.mark.parametrize("classes", [2, 4])
def test_the_floor_is_reached_at_the_smoothed_target_and_nowhere_undercut(classes: int) -> None:
    objective = LabelSmoothing(classes, smoothing=0.3)
    share = 0.3 / classes
    expected = -(1 - 0.3 + share) * math.log(1 - 0.3 + share) - (classes - 1) * share * math.log(share)
    assert objective.floor == pytest.approx(expected, rel=1e-12)
    target = torch.arange(classes)[None]
    best = (0.7 * torch.eye(classes, dtype=torch.float64) + share).log()[None]
    assert objective.loss(best, target).item() == pytest.approx(objective.floor, rel=1e-12)
    outputs, labels = random_outputs(classes, classes)
    assert (objective.loss(outputs, labels) > objective.floor).all()
