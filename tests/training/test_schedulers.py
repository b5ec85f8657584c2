import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from src.training.schedulers import SeedPlateau, WarmupCosine
from src.utils.validation import SettingsError


def rates(make, steps):
    """Return the rate of each step under a scheduler."""
    optimizer = SGD([torch.ones(1)], lr=0.3)
    scheduler: LRScheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch's own use of it
def test_warmup_and_cosine_are_those_of_torch():
    def reference(optimizer):
        rise = LinearLR(optimizer, start_factor=1 / 4, total_iters=3)
        return SequentialLR(optimizer, [rise, CosineAnnealingLR(optimizer, T_max=16)], milestones=[4])

    mine = rates(lambda optimizer: WarmupCosine(optimizer, total_steps=20, warmup=0.2), 20)
    assert mine == pytest.approx(rates(reference, 20))
    assert mine[:4] == pytest.approx([0.075, 0.15, 0.225, 0.3])


@pytest.mark.parametrize(("name", "value"), [("total_steps", 0), ("warmup", 1), ("warmup", -0.1)])
def test_wrong_arguments_are_named(name, value):
    with pytest.raises(SettingsError, match=name):
        rates(lambda optimizer: WarmupCosine(optimizer, **({"total_steps": 5, "warmup": 0.5} | {name: value})), 1)


@given(
    losses=st.lists(
        st.tuples(*[st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0, float("nan")])] * 3), min_size=1, max_size=30
    ),
    patience=st.integers(0, 3),
    cooldown=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-4, 0.05, 2.0]),
    min_lr=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_the_rate_of_each_seed_is_that_of_torch(losses, patience, cooldown, threshold, min_lr):
    rule = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": threshold, "min_lr": min_lr}
    mine = SeedPlateau(SGD([torch.ones(1)], lr=0.3), **rule)
    alone = [SGD([torch.ones(1)], lr=0.3) for _ in range(3)]
    reference = [ReduceLROnPlateau(optimizer, eps=0.0, **rule) for optimizer in alone]
    for epoch in losses:
        mine.step(torch.tensor(epoch))
        for scheduler, loss in zip(reference, epoch, strict=True):
            scheduler.step(float(torch.tensor(loss)))
        assert mine.rates.tolist() == pytest.approx([optimizer.param_groups[0]["lr"] for optimizer in alone])
    assert mine.factors().tolist() == pytest.approx([rate / 0.3 for rate in mine.rates.tolist()])
    assert mine.get_last_lr() == [0.3]


@pytest.mark.parametrize(
    ("name", "value"), [("factor", 1.0), ("patience", -1), ("threshold", -0.1), ("cooldown", 0.5), ("min_lr", -1.0)]
)
def test_wrong_arguments_of_a_plateau_are_named(name, value):
    with pytest.raises(SettingsError, match=name):
        SeedPlateau(SGD([torch.ones(1)], lr=0.3), **({"factor": 0.5, "patience": 1} | {name: value}))
