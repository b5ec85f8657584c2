"""Optimizer steps without the bookkeeping that costs more than the step of a small network."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam, AdamW, Optimizer


def stepper(optimizer: Optimizer) -> Callable[[], Any]:
    """Return a function that does what ``optimizer.step`` does, for an optimizer of one parameter.

    ``step`` looks up groups, states, hooks and devices anew each time, which takes longer than Adam's arithmetic for
    one network. For a fused Adam or AdamW the function calls the kernel behind it directly, on the same state, so
    that the optimizer can be saved, and its learning rate changed, as ever. Any other optimizer keeps its own step.

    Args:
        optimizer: An optimizer whose one parameter always has a gradient.
    """
    (group,) = optimizer.param_groups
    (parameter,) = group["params"]
    if type(optimizer) not in (Adam, AdamW) or not group["fused"] or group["amsgrad"]:
        return optimizer.step
    kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_

    def step() -> None:
        state = optimizer.state[parameter]
        if not state:
            optimizer.step()  # the first step makes the state
            return
        state["step"].add_(1)
        beta1, beta2 = group["betas"]
        kernel(
            [parameter.data],
            [parameter.grad],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )

    return step
