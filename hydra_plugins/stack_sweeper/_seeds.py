from dataclasses import replace
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, ValueType
from hydra.errors import CompactHydraException, HydraException

KEY = "seed"


def stack_seeds(override: Override, stack_size: int | None = None) -> Override:
    """Turn a sweep over ``seed`` into a sweep over stacks, which are lists of seeds.

    A swept ``seed=1,2,5`` becomes the one value ``seed=[1,2,5]``. Lists are stacks already: ``seed=[1,2,5]`` stays
    one and ``seed=[0,1],[2,3]`` stays a sweep over two. What sets no list of seeds is returned as it is.

    Args:
        override: An override of any key.
        stack_size: Most seeds in a stack; a longer one is cut into consecutive stacks. ``None`` cuts nothing.

    Returns:
        The override to take the product with, in place of the one given.

    Raises:
        CompactHydraException: If seeds are swept over something that cannot be listed.
    """
    if override.key_or_group != KEY or override.package is not None or override.is_delete():
        return override
    if override.is_sweep_override():
        seeds = _swept_values(override)
        stacks = seeds if any(isinstance(seed, list) for seed in seeds) else [seeds]
    elif isinstance(override._value, list) and stack_size is not None:
        stacks = [override._value]
    else:
        return override
    cut = [piece for stack in stacks for piece in _cut(stack, stack_size)]
    return replace(override, value_type=ValueType.CHOICE_SWEEP, _value=ChoiceSweep(list=cut))


def _swept_values(override: Override) -> list[Any]:
    listable = override.is_discrete_sweep() and override.value_type is not ValueType.GLOB_CHOICE_SWEEP
    try:
        if listable:
            return list(override.sweep_iterator())
    except (ValueError, HydraException):  # a range whose step is 0
        pass
    raise CompactHydraException(
        f"Expected `{KEY}` to be swept over values or a range, got {override.get_value_string()}."
    )


def _cut(stack: Any, size: int | None) -> list[Any]:
    if size is None or not isinstance(stack, list) or not stack:
        return [stack]
    return [stack[start : start + size] for start in range(0, len(stack), size)]
