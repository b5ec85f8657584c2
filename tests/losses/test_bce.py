import math

import numpy as np
import pytest
import torch
from torch import nn

from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy
from src.utils.validation import SettingsError


def random_logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(4, 7, 1, generator=generator), torch.randint(2, (4, 7), generator=generator)


def test_the_loss_is_torchs_for_each_seed() -> None:
    outputs, target = random_logits()
    expected = [nn.BCEWithLogitsLoss()(outputs[seed, :, 0], target[seed].float()) for seed in range(4)]
    torch.testing.assert_close(BinaryCrossEntropy(classes=2).loss(outputs, target), torch.stack(expected))


def test_the_loss_is_the_sum_written_out() -> None:
    outputs, target = random_logits()
    expected = np.zeros(4)
    for seed in range(4):
        for z, label in zip(outputs[seed, :, 0].tolist(), target[seed].tolist(), strict=True):
            f = 1 / (1 + math.exp(-z))
            expected[seed] -= (label * math.log(f) + (1 - label) * math.log(1 - f)) / 7
    np.testing.assert_allclose(BinaryCrossEntropy(classes=2).loss(outputs.double(), target), expected, rtol=1e-12)


def test_the_loss_is_the_cross_entropy_of_the_logits_zero_and_z() -> None:
    outputs, target = random_logits()
    pair = torch.cat([torch.zeros_like(outputs), outputs], dim=-1)
    objective = BinaryCrossEntropy(classes=2)
    torch.testing.assert_close(objective.loss(outputs, target), CrossEntropy(classes=2).loss(pair, target))
    torch.testing.assert_close(objective.probabilities(outputs), CrossEntropy(classes=2).probabilities(pair))


def test_the_loss_stays_finite_and_exact_far_from_the_target() -> None:
    outputs, target = torch.tensor([[[800.0]], [[-800.0]], [[800.0]]]), torch.tensor([[0], [1], [1]])
    assert BinaryCrossEntropy(classes=2).loss(outputs, target).tolist() == [800, 800, 0]


def test_a_logit_of_zero_is_class_one() -> None:
    outputs = torch.tensor([[[-1e-30], [0.0], [-0.0], [1e-30], [-5.0], [5.0]]])
    assert BinaryCrossEntropy(classes=2).decode(outputs).tolist() == [[0, 1, 1, 1, 0, 1]]


def test_probabilities_are_those_of_the_sigmoid() -> None:
    outputs, _ = random_logits()
    probabilities = BinaryCrossEntropy(classes=2).probabilities(outputs)
    torch.testing.assert_close(probabilities[..., [1]], torch.sigmoid(outputs))
    torch.testing.assert_close(probabilities[..., [0]], torch.sigmoid(-outputs))


@pytest.mark.parametrize("classes", [1, 3, 4])
def test_other_numbers_of_classes_are_refused(classes: int) -> None:
    with pytest.raises(SettingsError, match=rf"`classes` to be 2 for the objective bce, .* got {classes}\."):
        BinaryCrossEntropy(classes)


def test_there_is_one_output() -> None:
    assert BinaryCrossEntropy(classes=2).out_features == 1
