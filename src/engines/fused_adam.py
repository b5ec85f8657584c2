"""Steps of fused Adam without the overhead of ``Optimizer.step``, which costs more than a small network's step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from src.engines.flat_parameters import SIMD_WIDTH

PAGE = 1024  # floats in a memory page


def stepper(optimizer: Optimizer) -> Callable[[], Any]:
    """Return a function that does what ``optimizer.step`` does, for an optimizer with one parameter in each group.

    ``step`` looks up groups, states, hooks and devices each time, which takes longer than Adam's arithmetic for one
    network. For a fused Adam or AdamW the function calls torch's kernel directly, on the same state, so that the
    optimizer can still be saved and its learning rate changed. Any other optimizer keeps its own step.

    Args:
        optimizer: An optimizer whose parameters always have gradients.
    """
    if not is_fused_adam(optimizer):
        return optimizer.step

    def step() -> None:
        for group in optimizer.param_groups:
            step_group(group)

    def step_group(group: dict[str, Any]) -> None:
        (parameter,) = group["params"]
        kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        state = adam_state(optimizer, parameter)
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


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Return whether an optimizer is a fused Adam or AdamW without special modes."""
    special_modes = ("amsgrad", "capturable", "differentiable", "foreach")
    return type(optimizer) in (Adam, AdamW) and all(
        group["fused"] and not any(group[mode] for mode in special_modes) for group in optimizer.param_groups
    )


def adam_state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """Return the state of a parameter of a fused Adam: step, a scalar, and exp_avg and exp_avg_sq like it.

    It is created before the first step, as the optimizer itself does.
    """
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        state["exp_avg"], state["exp_avg_sq"] = (_zeros_apart(parameter, thirds) for thirds in (1, 2))
    return state


def _zeros_apart(buffer: Tensor, thirds: int) -> Tensor:
    """Return zeros like a buffer, whose offset within a memory page is some thirds of a page further than the buffer's.

    Processors delay a load whose address has the same offset within a page as a recent store (4K aliasing). Large
    tensors mostly start at the same offset, so an element-wise step over several of them would always be delayed.
    """
    zeros = buffer.new_zeros(len(buffer) + PAGE)
    further = (buffer.data_ptr() - zeros.data_ptr()) // buffer.element_size() + thirds * PAGE // 3
    start = further % PAGE // SIMD_WIDTH * SIMD_WIDTH
    return zeros[start : start + len(buffer)]
