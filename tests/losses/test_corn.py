import math

import numpy as np
import pytest
import torch

from src.losses.bce import BinaryCrossEntropy
from src.losses.corn import ConditionalOrdinal
from tests.losses.cases import random_outputs


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_loss_is_the_formula_of_the_paper_written_out(classes: int) -> None:
    """Task j has the samples of rank j and above; the mean is over the samples of all tasks."""
    outputs, target = random_outputs(classes - 1, classes)
    for seed in range(3):
        total, pairs = 0.0, 0
        for j in range(classes - 1):
            for z, y in zip(outputs[seed].tolist(), target[seed].tolist(), strict=True):
                if y >= j:
                    p = 1 / (1 + math.exp(-z[j]))
                    total -= math.log(p if y > j else 1 - p)
                    pairs += 1
        loss = ConditionalOrdinal(classes).loss(outputs, target)[seed].item()
        assert loss == pytest.approx(total / pairs, rel=1e-12)


def test_the_rank_counts_the_products_above_one_half() -> None:
    outputs, _ = random_outputs(4, 5)
    expected = np.zeros((3, 6), dtype=int)
    for seed, index in np.ndindex(3, 6):
        product = 1.0
        for z in outputs[seed, index].tolist():
            product *= 1 / (1 + math.exp(-z))
            expected[seed, index] += product > 0.5
    assert ConditionalOrdinal(5).decode(outputs).tolist() == expected.tolist()
    assert len(set(expected.flat)) > 2


def test_the_sum_over_tasks_is_the_negative_log_likelihood() -> None:
    outputs, _ = random_outputs(3, 4)
    objective = ConditionalOrdinal(4)
    for label in range(4):
        tasks = min(label + 1, 3)
        one = outputs[:1, :1]
        loss = tasks * objective.loss(one, torch.tensor([[label]])).item()
        assert loss == pytest.approx(-objective.probabilities(one)[0, 0, label].log().item(), rel=1e-12)


def test_two_classes_are_the_binary_cross_entropy() -> None:
    outputs, target = random_outputs(1, 2)
    ordinal, binary = ConditionalOrdinal(2), BinaryCrossEntropy(2)
    torch.testing.assert_close(ordinal.loss(outputs, target), binary.loss(outputs, target))
    torch.testing.assert_close(ordinal.probabilities(outputs), binary.probabilities(outputs))
    assert torch.equal(ordinal.decode(outputs), binary.decode(outputs))


def test_a_sure_network_has_no_loss_and_decides_for_the_label() -> None:
    outputs = torch.tensor([[[-99.0, 5.0], [99.0, -99.0], [99.0, 99.0]]])
    assert ConditionalOrdinal(3).loss(outputs, torch.tensor([[0, 1, 2]])).item() == 0
    assert ConditionalOrdinal(3).decode(outputs).tolist() == [[0, 1, 2]]
