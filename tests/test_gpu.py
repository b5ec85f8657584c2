"""Training on a GPU; skipped, with the reason, where there is none."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from src.config.instantiate import Components, build_components, build_trainer, stack
from src.metrics.predictions import seed_networks
from src.training.single_thread import single_threaded

Settings = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def fit(settings: dict[str, Any]) -> Components:
    parts = build_components(settings, stack(settings))
    with single_threaded():
        build_trainer(settings, []).fit(parts.classifier, datamodule=parts.datamodule)
    return parts


@pytest.mark.parametrize("loss", ["ce", "mse", "mse_onehot"])
def test_a_stack_on_the_gpu_is_the_stack_on_the_cpu_for_100_steps(settings: Settings, loss: str) -> None:
    composed = settings(
        f"loss={loss}", "classes=3", "data.samples_per_class=43", "trainer.max_epochs=5", "model.init=kaiming"
    )
    composed["seed"] = [0, 1, 2]
    on_cpu = fit(composed)
    on_gpu = fit(composed | {"trainer": composed["trainer"] | {"accelerator": "gpu"}})
    assert on_gpu.classifier.flat.values.device.type == "cuda"
    losses, expected = (torch.cat(parts.classifier.curves.step_loss) for parts in (on_gpu, on_cpu))
    assert len(losses) > 100
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)
    for value, other in zip(on_gpu.network.parameters(), on_cpu.network.parameters(), strict=True):
        torch.testing.assert_close(value.cpu(), other, rtol=1e-2, atol=1e-3)
    # Lightning has taken the network back to the CPU, where it computes metrics of its own.
    assert on_gpu.classifier.trained_on.type == "cuda"
    for seed, network in enumerate(seed_networks(on_gpu.network, range(3))):
        found, alone = on_gpu.population_metrics(seed), on_gpu.population.metrics(network)
        assert found == pytest.approx(alone, abs=1e-5)
