from collections.abc import Callable

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from src.engines.fused_adam import adam_state, stepper

OPTIMIZERS: dict[str, Callable[[list[torch.nn.Parameter]], Optimizer]] = {
    "adam": lambda parameters: Adam(parameters, lr=0.05, fused=True),
    "adam of other settings": lambda parameters: Adam(
        parameters, lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1, maximize=True, fused=True
    ),
    "amsgrad": lambda parameters: Adam(parameters, lr=0.05, amsgrad=True, fused=True),
    "adam, not fused": lambda parameters: Adam(parameters, lr=0.05),
    "adamw": lambda parameters: AdamW(parameters, lr=0.05, weight_decay=0.1, fused=True),
    "sgd": lambda parameters: SGD(parameters, lr=0.05, momentum=0.9, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_steps_are_those_of_the_optimizer_bit_for_bit(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(48, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizer, reference = OPTIMIZERS[name]([ours]), OPTIMIZERS[name]([theirs])
    step = stepper(optimizer)
    for number in range(30):
        ours.grad = torch.randn(48, generator=generator)
        theirs.grad = ours.grad.clone()
        if number == 20:  # a schedule may change the rate in between
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.01
        step()
        reference.step()
        assert torch.equal(ours, theirs)
    for key, value in reference.state[theirs].items():
        assert torch.equal(optimizer.state[ours][key], value)


def test_steps_go_on_from_a_saved_state() -> None:
    parameter = torch.nn.Parameter(torch.ones(16))
    parameter.grad = torch.ones(16)
    first = Adam([parameter], lr=0.1, fused=True)
    for _ in range(3):
        stepper(first)()
    other = torch.nn.Parameter(parameter.detach().clone())
    other.grad = parameter.grad
    second = Adam([other], lr=0.1, fused=True)
    second.load_state_dict(first.state_dict())
    stepper(first)()
    stepper(second)()
    assert torch.equal(parameter, other)


def test_only_adam_is_taken_past_its_own_step() -> None:
    parameter = torch.nn.Parameter(torch.ones(16))
    assert stepper(OPTIMIZERS["adam"]([parameter])).__name__ == "step"
    for name in ("sgd", "amsgrad", "adam, not fused"):
        optimizer = OPTIMIZERS[name]([parameter])
        assert stepper(optimizer) == optimizer.step


@pytest.mark.parametrize("size", [16, 2**12, 2**22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_buffer_and_its_moments_start_at_different_places_of_a_page(size: int, dtype: torch.dtype) -> None:
    parameter = torch.nn.Parameter(torch.zeros(size, dtype=dtype))
    state = adam_state(Adam([parameter], lr=0.1, fused=True), parameter)
    moments = state["exp_avg"], state["exp_avg_sq"]
    addresses = sorted(tensor.data_ptr() % 4096 for tensor in (parameter, *moments))
    gaps = [(after - before) % 4096 for before, after in zip(addresses, addresses[1:] + addresses[:1], strict=True)]
    assert min(gaps) >= 1024  # bytes, many registers
    for moment in moments:
        assert (moment.shape, moment.dtype) == (parameter.shape, dtype)
        assert moment.data_ptr() % 64 == parameter.data_ptr() % 64
        assert not moment.any()
