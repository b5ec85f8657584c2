"""Class weights against torch's own, and against samples that are repeated."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from src.config.instantiate import build_components, stack
from src.losses.brier import BrierScore
from src.losses.ce import CrossEntropy
from src.losses.class_weighted import class_weighted
from src.losses.corn import ConditionalOrdinal
from src.losses.focal import FocalLoss
from src.losses.mse import MeanSquaredError
from src.losses.mse_onehot import OneHotMeanSquaredError

OBJECTIVES = [
    CrossEntropy(3),
    BrierScore(3),
    FocalLoss(3, gamma=2.0),
    MeanSquaredError(3),
    OneHotMeanSquaredError(3),
    ConditionalOrdinal(3),
]


def batch(objective, seeds: int = 2, size: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(seeds, size, objective.out_features, generator=generator, dtype=torch.float64)
    return outputs, torch.randint(3, (seeds, size), generator=generator)


def test_weighted_cross_entropy_is_torchs_up_to_its_divisor():
    weights = torch.tensor([[0.5, 2.0, 1.0], [3.0, 1.0, 0.25]], dtype=torch.float64)
    objective = CrossEntropy(3)
    outputs, target = batch(objective)
    found = class_weighted(objective, lambda: weights).loss(outputs, target)
    for seed in range(2):
        expected = F.cross_entropy(outputs[seed], target[seed], weights[seed], reduction="sum") / 7
        torch.testing.assert_close(found[seed], expected)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: type(each).__name__)
def test_weights_of_one_change_nothing_and_gradients_fit_the_loss(objective):
    outputs, target = batch(objective)
    ones = class_weighted(objective, lambda: torch.ones(2, 3, dtype=torch.float64))
    if not isinstance(objective, ConditionalOrdinal):  # which averages over all pairs of the mini-batch
        torch.testing.assert_close(ones.loss(outputs, target), objective.loss(outputs, target))
    weights = torch.tensor([[0.5, 2.0, 1.0], [3.0, 1.0, 0.25]], dtype=torch.float64)
    weighted = class_weighted(objective, lambda: weights)
    outputs.requires_grad_()
    [expected] = torch.autograd.grad(weighted.loss(outputs, target).sum(), outputs)
    torch.testing.assert_close(weighted.gradient(outputs.detach(), target), expected)
    several = torch.cat([outputs.detach(), outputs.detach()])  # two steps of two seeds, as a block has them
    twice = torch.cat([target, target])
    torch.testing.assert_close(weighted.loss(several, twice), weighted.loss(outputs, target).repeat(2).detach())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: type(each).__name__)
def test_a_weight_of_two_is_a_sample_that_comes_twice(objective):
    outputs, target = batch(objective, seeds=1)
    weighted = class_weighted(objective, lambda: torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64))
    twice = target[0] == 0
    single = torch.stack([objective.loss(outputs[:, [row]], target[:, [row]])[0] for row in range(7)])
    torch.testing.assert_close(weighted.loss(outputs, target)[0], (single.sum() + single[twice].sum()) / 7)


def test_balanced_weights_are_scikit_learns_of_each_seed(settings):
    config = settings("data=gaussians", "seed=[0,1,2]", "data.class_weights=balanced", "engine=torch")
    components = build_components(config, stack(config))
    data = components.datamodule
    data.setup()
    for weights, target in zip(data.weights(), data.train.target, strict=True):
        expected = compute_class_weight("balanced", classes=np.arange(2), y=target.numpy())
        torch.testing.assert_close(weights.double(), torch.from_numpy(expected), rtol=1e-6, atol=0)
    assert type(components.objective) is CrossEntropy  # of the metrics
    assert components.classifier.objective.probabilities(torch.zeros(1, 1, 2)).tolist() == [[[0.5, 0.5]]]


@pytest.mark.parametrize("words", ["data.class_weights=[1]", "data.class_weights=[1,0]", "data.class_weights=equal"])
def test_wrong_weights_are_one_line(words, train):
    err = train(words, code=1).err
    assert err.startswith("Expected `data.class_weights` to be none, balanced or a list of 2 numbers above 0")


def test_every_engine_trains_with_weights(train, tmp_path):
    small = ("data=gaussians", "data.class_weights=balanced", "trainer.max_epochs=2", "figures=none", "export=none")
    losses = {}
    for engine in ("torch", "auto"):
        train(*small, f"engine={engine}", f"study={engine}", "seed=[0,1]")
        [history] = (tmp_path / "outputs" / engine).glob("*/seed=1/history.csv")
        losses[engine] = [float(line.split(",")[2]) for line in history.read_text(encoding="utf-8").splitlines()[1:]]
    assert losses["auto"] == pytest.approx(losses["torch"], rel=1e-4)
