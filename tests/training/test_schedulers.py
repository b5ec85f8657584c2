import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from src.training.schedulers import WarmupCosine
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
