"""The moving average of the weights of each seed, which is torch's of the seed alone."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from src.config.instantiate import build_callbacks, build_components, build_trainer, stack
from src.training.callbacks.checkpoint import StackCheckpoint
from src.training.module import StackedClassifier

WORDS = (
    "data.samples_per_class=20",
    "model.hidden=[6]",
    "model.init_std=0.5",
    "callbacks=ema",
    "callbacks.ema.decay=0.9",
)
SGD = ("optimizer=sgd", "optimizer.lr=0.05", "trainer.max_epochs=4")
SEEDS = [0, 1, 2]


def fit(config, seeds, *callbacks):
    """Return the parameters, (S, ...) each."""
    config = config | {"seed": seeds}
    parts = build_components(config, stack(config))
    build_trainer(config, [*build_callbacks(config), *callbacks]).fit(parts.classifier, datamodule=parts.datamodule)
    return [parameter.detach() for parameter in parts.network.parameters()]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_seed_has_the_average_of_torch_alone_or_not(seed, settings):
    config = settings(*WORDS, *SGD)
    together, alone = fit(config, SEEDS), fit(config, [seed])
    assert all(torch.equal(one[seed], other[0]) for one, other in zip(together, alone, strict=True))
    parts = build_components(config | {"seed": [seed]}, stack(config | {"seed": [seed]}))
    parts.datamodule.setup()
    optimizer = torch.optim.SGD(parts.network.parameters(), lr=0.05)
    average = AveragedModel(parts.network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    loader = parts.datamodule.train_dataloader()
    for _ in range(4):
        for block in loader:
            for x, target in block.mini_batches():
                optimizer.zero_grad()
                parts.objective.loss(parts.network(x), target).sum().backward()
                optimizer.step()
                average.update_parameters(parts.network)
    for mine, theirs, last in zip(alone, average.module.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(mine, last, rtol=1e-3)


def test_a_killed_training_continues_the_average(settings, tmp_path, monkeypatch):
    config = settings(*WORDS, *SGD)
    whole = fit(config, SEEDS)
    names = [f"seed={seed}" for seed in SEEDS]
    step = StackedClassifier.training_step

    class KilledError(Exception):
        pass

    def dies(self, batch, batch_idx):
        if len(self.curves.step_loss) == 2:
            raise KilledError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(StackedClassifier, "training_step", dies)
        with pytest.raises(KilledError):
            fit(config, SEEDS, StackCheckpoint(tmp_path, names, "", 1))
    part = fit(config, SEEDS[:0:-1], StackCheckpoint(tmp_path, names[:0:-1], "", 1))
    for index, seed in enumerate(SEEDS[:0:-1]):
        assert all(torch.equal(one[index], other[seed]) for one, other in zip(part, whole, strict=True))
