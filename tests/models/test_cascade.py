"""The XOR problem: one logistic unit cannot learn it, and a cascade of them can."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from src.config.instantiate import build_components, build_trainer, stack
from src.metrics.population import Population
from src.metrics.predictions import seed_network
from src.training.fit import fit
from src.training.single_thread import single_threaded

SEEDS = 20


@pytest.mark.parametrize("model", ["logistic", "cascade"])
def test_a_cascade_learns_exclusive_or_and_one_unit_does_not(
    model: str, settings: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.metrics.population.RESOLUTION", 128)
    epochs = [] if model == "cascade" else ["trainer.max_epochs=30"]  # one unit has its optimum by then
    composed = settings("experiment=xor", f"model={model}", *epochs) | {"seed": list(range(SEEDS))}
    with single_threaded():
        parts = build_components(composed, stack(composed))
        fit(parts.classifier, parts.datamodule, build_trainer(composed, []))
        distribution, objective = parts.datamodule.source, parts.objective
        networks = [seed_network(parts.network, index) for index in range(SEEDS)]
        accuracy = torch.tensor(
            [Population(objective, distribution).metrics(network)["population/accuracy"] for network in networks]
        )
    if model == "logistic":
        assert (accuracy < 0.76).all()  # the best line gets three of the four corners
        assert 0.4 < accuracy.mean() < 0.65
    else:
        assert (accuracy >= 0.99).sum() > 0.75 * SEEDS
