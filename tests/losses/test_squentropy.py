import math

import numpy as np
import pytest

from src.losses.squentropy import Squentropy
from tests.losses.cases import random_outputs


@pytest.mark.parametrize("classes", [2, 5])
def test_the_loss_is_the_formula_of_the_paper_written_out(classes: int) -> None:
    outputs, target = random_outputs(classes, classes)
    expected = np.zeros(3)
    for seed in range(3):
        for z, y in zip(outputs[seed].tolist(), target[seed].tolist(), strict=True):
            cross_entropy = -math.log(math.exp(z[y]) / sum(map(math.exp, z)))
            square = sum(value**2 for index, value in enumerate(z) if index != y) / (classes - 1)
            expected[seed] += (cross_entropy + square) / 6
    np.testing.assert_allclose(Squentropy(classes).loss(outputs, target), expected, rtol=1e-12)
