"""The learning rate that is found for each seed, which is that of the seed alone."""

import numpy as np
import pytest
import torch

from src.config.instantiate import build_callbacks, build_components, build_trainer, stack
from src.training.callbacks.checkpoint import StackCheckpoint
from src.training.callbacks.lr_finder import suggested_rate

SMALL = ("data.samples_per_class=20", "model.hidden=[6]", "model.init_std=0.5", "trainer.max_epochs=4")
FINDER = ("callbacks.lr_finder.steps=40", "callbacks.lr_finder.min_lr=1e-3")
SEEDS = [0, 1, 2]


def fit(config, seeds, *callbacks):
    """Return the parameters, (S, ...) each, the curves, and the callbacks."""
    config = config | {"seed": seeds}
    parts = build_components(config, stack(config))
    built = build_callbacks(config)
    build_trainer(config, [*built, *callbacks]).fit(parts.classifier, datamodule=parts.datamodule)
    return [each.detach() for each in parts.network.parameters()], parts.classifier.curves, built


def found_alone(config, seed):
    """Return the rate of one seed by a loop of torch."""
    config = config | {"seed": [seed]}
    parts = build_components(config, stack(config))
    parts.datamodule.setup()
    optimizer = parts.classifier.optimizer(list(parts.network.parameters()))
    loader = parts.datamodule.train_dataloader()
    rates, losses, average = np.geomspace(1e-3, 1, 40), [], []
    while len(losses) < 40:
        for block in loader:
            for x, target in list(block.mini_batches())[: 40 - len(losses)]:
                optimizer.param_groups[0]["lr"] = float(rates[len(losses)])
                optimizer.zero_grad()
                loss = parts.objective.loss(parts.network(x), target).sum()
                losses.append(float(loss.detach()))
                loss.backward()
                optimizer.step()
    for step in range(40):
        weights = 0.98 ** np.arange(step, -1, -1)
        average.append((weights * losses[: step + 1]).sum() / weights.sum())
    counted = [step for step in range(10, 40) if average[step] <= 4 * min(average[: step + 1])]
    return rates[min(counted, key=lambda step: average[step])] / 10


@pytest.mark.parametrize("words", [(), ("optimizer=sgd", "optimizer.lr=0.05")])
def test_the_rate_is_that_of_a_plain_loop(words, settings):
    config = settings(*SMALL, "callbacks=lr_finder", *FINDER, *words)
    _, curves, [finder] = fit(config, SEEDS)
    assert finder.found.tolist() == pytest.approx([found_alone(config, seed) for seed in SEEDS])
    assert len(set(finder.found.tolist())) > 1
    torch.testing.assert_close(torch.stack(curves.train_lr), finder.found.float().expand(4, -1))


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ((), "none"),
        (("optimizer=sgd",), "ema"),
        (("+trainer.accumulate_grad_batches=2", "scheduler=cosine"), "none"),
    ],
)
def test_a_seed_trains_as_alone_and_as_with_its_rate_at_once(words, other, settings):
    config = settings(*SMALL, *words, f"callbacks=[{other},lr_finder]", *FINDER)
    together, _, callbacks = fit(config, SEEDS)
    for seed in SEEDS:
        alone, _, own = fit(config, [seed])
        rate = float(own[-1].found[0])
        assert rate == callbacks[-1].found[seed]
        known, _, _ = fit(settings(*SMALL, *words, f"callbacks={other}", f"optimizer.lr={rate!r}"), [seed])
        for one, two, three in zip(together, alone, known, strict=True):
            assert torch.equal(one[seed], two[0])
            torch.testing.assert_close(two, three, rtol=1e-3, atol=1e-4)


def test_a_resumed_training_keeps_the_rates(settings, tmp_path):
    config = settings(*SMALL, "callbacks=lr_finder", *FINDER)
    whole, curves, _ = fit(config, SEEDS)
    names = [f"seed={seed}" for seed in SEEDS]
    fit(config | {"trainer": config["trainer"] | {"max_epochs": 3}}, SEEDS, StackCheckpoint(tmp_path, names, "", 2))
    rest, resumed, _ = fit(config, SEEDS[::-1], StackCheckpoint(tmp_path, names[::-1], "", 5))
    assert all(torch.equal(one, other.flip(0)) for one, other in zip(whole, rest, strict=True))
    assert torch.equal(torch.stack(resumed.train_lr), torch.stack(curves.train_lr).flip(1))


def test_what_diverges_does_not_count():
    rates = np.geomspace(1e-4, 1, 60)
    losses = np.linspace(2, 1, 60)
    assert suggested_rate(losses, rates) == pytest.approx(0.1)
    losses[40:] = 500.0
    assert suggested_rate(losses, rates) == pytest.approx(rates[39] / 10)
    losses[20:] = np.nan
    assert suggested_rate(losses, rates) == pytest.approx(rates[19] / 10)
    losses[5:] = np.inf
    assert np.isnan(suggested_rate(losses, rates))
