import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from torch import Generator, Tensor

from src.models.base import ClosedForm
from src.models.gaussian import Gaussian
from src.models.gaussian_shared import GaussianShared

Kind = type[Gaussian]
every_kind = pytest.mark.parametrize("kind", [Gaussian, GaussianShared])


def samples(seeds: int, classes: int, features: int, size: int = 60) -> tuple[Tensor, Tensor]:
    """Return correlated, shifted samples of unlike classes, none of them empty: (S, N, D), (S, N)."""
    generator = Generator().manual_seed(classes * 10 + features)
    target = torch.randint(classes, (seeds, size), generator=generator)
    target[:, : 4 * classes] = torch.arange(classes).repeat(4)
    mix = torch.randn(classes, features, features, generator=generator) + torch.eye(features)
    noise = torch.randn(seeds, size, features, 1, generator=generator)
    x = (mix[target] @ noise)[..., 0] + 2 * torch.randn(classes, features, generator=generator)[target]
    return x, target


def fitted(kind: Kind, x: Tensor, target: Tensor, classes: int) -> Gaussian:
    network = kind(x.shape[-1], classes, [Generator() for _ in x])
    assert network.fit(x, target) == [None] * len(x)
    return network


@pytest.mark.parametrize(("classes", "features"), [(2, 1), (2, 2), (3, 2), (4, 5)])
@every_kind
def test_the_decision_function_is_scikit_learns(kind: Kind, classes: int, features: int) -> None:
    x, target = samples(3, classes, features)
    outputs = fitted(kind, x, target, classes)(x)
    for seed in range(3):
        reference = (
            LinearDiscriminantAnalysis(solver="lsqr")
            if kind is GaussianShared
            else QuadraticDiscriminantAnalysis(solver="eigen", covariance_estimator=EmpiricalCovariance())
        )
        own = x[seed].double().numpy()
        expected = reference.fit(own, target[seed].numpy()).decision_function(own)
        if classes == 2:
            np.testing.assert_allclose(outputs[seed, :, 1] - outputs[seed, :, 0], expected, rtol=1e-5, atol=1e-9)
        else:  # up to what all classes share
            expected = expected - expected.mean(1, keepdims=True)
            np.testing.assert_allclose(
                outputs[seed] - outputs[seed].mean(1, keepdim=True), expected, rtol=1e-5, atol=1e-9
            )
        np.testing.assert_allclose(outputs[seed].exp(), reference.predict_proba(own), rtol=1e-5, atol=1e-12)


@every_kind
def test_outputs_are_logarithms_of_probabilities(kind: Kind) -> None:
    x, target = samples(4, 3, 2)
    outputs = fitted(kind, x, target, 3)(x)
    assert outputs.shape == (4, 60, 3)
    assert outputs.dtype == torch.float64
    torch.testing.assert_close(outputs.exp().sum(-1), torch.ones(4, 60, dtype=torch.float64))


def test_a_shared_covariance_gives_a_softmax_of_linear_functions() -> None:
    x, target = samples(4, 3, 2)
    network = fitted(GaussianShared, x, target, 3)
    assert isinstance(network, GaussianShared)
    weight, bias = network.linear()
    assert (weight.shape, bias.shape) == ((4, 2, 3), (4, 3))
    scores = x.double() @ weight + bias[:, None]
    torch.testing.assert_close(scores.log_softmax(-1), network(x), rtol=1e-9, atol=1e-9)


@every_kind
@pytest.mark.parametrize(("size", "features"), [(9, 1), (33, 2), (50, 3), (128, 2)])
def test_a_seed_is_fitted_the_same_alone_and_in_any_stack(kind: Kind, size: int, features: int) -> None:
    x, target = samples(9, 2, features, size)
    together = fitted(kind, x, target, 2)
    for seed in range(9):
        alone = fitted(kind, x[[seed]], target[[seed]], 2)
        for name, value in alone.state_dict().items():
            assert torch.equal(together.state_dict()[name][seed], value[0])


@every_kind
def test_it_is_fitted_in_closed_form_and_draws_nothing(kind: Kind) -> None:
    generator = Generator().manual_seed(3)
    before = generator.get_state()
    network = kind(2, 3, [generator])
    assert isinstance(network, ClosedForm)
    assert torch.equal(generator.get_state(), before)
    assert all(len(value) == 1 for value in network.state_dict().values())
    assert list(network.parameters()) == []


def changed(change: str) -> tuple[Tensor, Tensor]:
    """Return two seeds of which the second has a fault."""
    x, target = samples(2, 3, 3, 40)
    own = target[1] == 1
    if change == "constant":
        x[1, own, 2] = 0.1
    if change == "constant everywhere":
        x[1, :, 1] = -7.3
    if change == "dependent":
        x[1, own, 2] = 3 * x[1, own, 0] + 1
    if change == "dependent everywhere":
        x[1, :, 2] = x[1, :, 0] - 2 * x[1, :, 1]
    if change == "one sample":
        target[1] = torch.where(own & (own.cumsum(0) > 1), 0, target[1])
    if change == "two samples":
        target[1] = torch.where(own & (own.cumsum(0) > 2), 0, target[1])
    if change == "none":
        target[1] = torch.where(own, 2, target[1])
    return x, target


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        (Gaussian, "constant", "the covariance of class 1 is singular: x3 is constant"),
        (Gaussian, "constant everywhere", "the covariance of class 0 is singular: x2 is constant"),
        (Gaussian, "dependent", "the covariance of class 1 is singular: x1, x3 are linearly dependent"),
        (
            Gaussian,
            "one sample",
            "the covariance of class 1 is singular: x1, x2, x3 are constant, as the class has a single training sample",
        ),
        (Gaussian, "two samples", "the covariance of class 1 is singular: x1, x2, x3 are linearly dependent"),
        (Gaussian, "none", "class 1 has no training sample"),
        (GaussianShared, "constant", None),
        (GaussianShared, "one sample", None),
        (
            GaussianShared,
            "constant everywhere",
            "the shared covariance is singular: within every class, x2 is constant",
        ),
        (
            GaussianShared,
            "dependent everywhere",
            "the shared covariance is singular: within every class, x1, x2, x3 are linearly dependent",
        ),
        (GaussianShared, "none", "class 1 has no training sample"),
    ],
)
def test_a_singular_covariance_is_named_and_spares_other_seeds(kind: Kind, change: str, problem: str | None) -> None:
    x, target = changed(change)
    assert kind(3, 3, [Generator(), Generator()]).fit(x, target) == [None, problem]
