"""The decrease of regret with the sample size, for generative models of the right and of a wrong form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from src.config.instantiate import build_components, build_trainer, stack
from src.data.noisy_cubic import NoisyCubic
from src.metrics.population import Population, linear_discriminant
from src.metrics.predictions import seed_network
from src.training.fit import fit
from src.training.single_thread import single_threaded


def mean_regret(composed: dict[str, Any]) -> float:
    with single_threaded():
        parts = build_components(composed, stack(composed))
        assert all(
            training.error is None for training in fit(parts.classifier, parts.datamodule, build_trainer(composed, []))
        )
        networks = [seed_network(parts.network, index) for index in range(len(parts.datamodule.streams))]
        metrics = [Population(parts.objective, parts.datamodule.source).metrics(network) for network in networks]
    return float(np.mean([each["population/regret"] for each in metrics]))


@pytest.mark.integration
def test_regret_falls_like_one_over_n_for_the_true_model_only(
    settings: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.metrics.population.RESOLUTION", 64)  # good to 2e-5, a twentieth of the least regret here
    regret = {
        (model, size): mean_regret(
            settings(f"model={model}", "data=gaussians", f"data.samples={size}", "seed=[0,1,2,3]")
        )
        for model in ("gaussian", "gaussian_shared")
        for size in (60, 6000)
    }
    slope = np.log(regret["gaussian", 6000] / regret["gaussian", 60]) / np.log(100)
    assert -1.4 < slope < -0.6
    assert regret["gaussian_shared", 6000] > 0.01


@pytest.mark.parametrize(("classes", "expected"), [(2, 0.743984), (4, 0.615976)])
def test_the_linear_discriminant_of_infinite_data_has_a_known_accuracy(classes: int, expected: float) -> None:
    shape: dict[str, Any] = {"samples_per_class": 80, "noise": "uniform", "half_width": 0.2, "spacing": 0.2}
    x, mass = NoisyCubic(classes, label_order=None, priors=None, flip=0, **shape).population(16384)
    with single_threaded():
        accuracy = mass.gather(1, linear_discriminant(x, mass)[:, None]).sum().item()
    assert accuracy == pytest.approx(expected, abs=2e-6)
