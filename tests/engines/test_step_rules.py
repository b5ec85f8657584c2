"""Clipping and accumulation of gradients, of each seed as of a network alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from src.config.instantiate import build_components, build_trainer, stack
from src.data import datamodule
from src.engines.native.engine import library
from src.training.single_thread import single_threaded

SMALL = ("data.samples_per_class=20", "data.batch_size=5", "model.hidden=[6]", "model.init_std=0.5", "loss=mse")
SGD = ("optimizer=sgd", "optimizer.lr=0.05", "trainer.max_epochs=3")
RULES = {
    "norm": ("+trainer.gradient_clip_val=0.3",),
    "value": ("+trainer.gradient_clip_val=0.05", "+trainer.gradient_clip_algorithm=value"),
    "accumulate": ("+trainer.accumulate_grad_batches=3",),
    "all": ("+trainer.gradient_clip_val=0.3", "+trainer.accumulate_grad_batches=3"),
}
SEEDS = [0, 1, 2]


def fit(config: dict[str, Any], seeds: list[int], *, autograd: bool = False, engine: str = "layerwise") -> list[Tensor]:
    """Return the parameters, (S, ...) each, that an engine trained."""
    config = config | {"seed": seeds}
    parts = build_components(config, stack(config))
    if autograd:
        parts.classifier.network = nn.Sequential(parts.network)
    with single_threaded():
        build_trainer(config, []).fit(parts.classifier, datamodule=parts.datamodule)
    assert parts.engine == ("autograd" if autograd else engine)
    return [parameter.detach() for parameter in parts.network.parameters()]


def by_hand(config: dict[str, Any], seed: int) -> list[Tensor]:
    """Train one seed as a loop of torch and Lightning's rule of accumulation do."""
    config = config | {"seed": [seed]}
    parts = build_components(config, stack(config))
    parts.datamodule.setup()
    trainer = config["trainer"]
    optimizer = torch.optim.SGD(parts.network.parameters(), lr=0.05)
    count = trainer.get("accumulate_grad_batches", 1)
    loader = parts.datamodule.train_dataloader()
    for _ in range(trainer["max_epochs"]):
        batches = [batch for block in loader for batch in block.mini_batches()]
        for index, (x, target) in enumerate(batches, 1):
            (parts.objective.loss(parts.network(x), target).sum() / count).backward()
            if index % count and index < len(batches):
                continue
            if (limit := trainer.get("gradient_clip_val")) is not None:
                clip = clip_grad_value_ if trainer.get("gradient_clip_algorithm") == "value" else clip_grad_norm_
                clip(parts.network.parameters(), limit)
            optimizer.step()
            optimizer.zero_grad()
    return [parameter.detach() for parameter in parts.network.parameters()]


@pytest.mark.parametrize("autograd", [False, pytest.param(True, marks=pytest.mark.integration)])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_seed_is_clipped_and_accumulated_as_a_network_alone(rule: str, autograd: bool, settings: Any) -> None:
    config = settings(*SMALL, *SGD, *RULES[rule])
    without = fit(settings(*SMALL, *SGD, "engine=torch"), SEEDS, autograd=autograd)
    together = fit(config, SEEDS, autograd=autograd)
    assert not any(torch.allclose(one, other, rtol=1e-3) for one, other in zip(together, without, strict=True))
    for index, seed in enumerate(SEEDS):
        for trained, expected in zip(together, by_hand(config, seed), strict=True):
            torch.testing.assert_close(trained[index], expected[0], rtol=1e-4, atol=1e-5)
        alone = fit(config, [seed], autograd=autograd)
        assert all(torch.equal(one[index], other[0]) for one, other in zip(together, alone, strict=True))


COMPILED = pytest.mark.skipif(library()[0] is None, reason="there is no C compiler")
CASES = [
    *((optimizer, "layerwise") for optimizer in ("sgd", "adam", "adamw")),
    *(pytest.param(optimizer, "native", marks=COMPILED) for optimizer in ("adam", "adamw")),
    *(pytest.param(optimizer, "autograd", marks=pytest.mark.integration) for optimizer in ("sgd", "adam", "adamw")),
]


@pytest.mark.parametrize(("optimizer", "engine"), CASES)
def test_the_rate_of_each_seed_falls_as_that_of_a_network_alone(optimizer: str, engine: str, settings: Any) -> None:
    autograd = engine == "autograd"
    words = [f"optimizer={optimizer}", "optimizer.lr=0.05", "trainer.max_epochs=12"]
    own = f"engine={'native' if engine == 'native' else 'torch'}"
    config = settings(*SMALL, *words, own, "scheduler=plateau", "scheduler.patience=1", "scheduler.threshold=0.1")
    constant = fit(settings(*SMALL, *words, "engine=torch"), SEEDS, autograd=autograd)
    together = fit(config, SEEDS, autograd=autograd, engine=engine)
    assert not any(torch.allclose(one, other, rtol=1e-3) for one, other in zip(together, constant, strict=True))
    torchs = config["scheduler"] | {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}
    for index, seed in enumerate(SEEDS):
        alone = fit(config, [seed], autograd=autograd, engine=engine)
        assert all(torch.equal(one[index], other[0]) for one, other in zip(together, alone, strict=True))
        expected = fit(config | {"scheduler": torchs, "engine": "torch"}, [seed], autograd=autograd)
        for trained, other in zip(alone, expected, strict=True):
            torch.testing.assert_close(trained, other, rtol=1e-3, atol=1e-5)


def test_an_epoch_in_several_blocks_accumulates_as_in_one(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(*SMALL, *SGD, *RULES["accumulate"])
    whole = fit(config, SEEDS)
    monkeypatch.setattr(datamodule, "MAX_BLOCK", 20)  # four mini-batches of 5, of which three are a block
    assert all(map(torch.equal, fit(config, SEEDS), whole))


def test_a_schedule_steps_once_for_accumulated_mini_batches(settings: Any) -> None:
    config = settings(*SMALL, *SGD, *RULES["accumulate"], "scheduler=cosine", "scheduler.interval=step")
    parts = build_components(config, stack(config))
    trainer = build_trainer(config, [])
    trainer.fit(parts.classifier, datamodule=parts.datamodule)
    [scheduler] = trainer.lr_scheduler_configs
    assert scheduler.scheduler.last_epoch == 3 * 3  # epochs of seven mini-batches
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
