from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, ValueType
from hydra.errors import CompactHydraException, HydraException

from src.utils.seeds import SEED_KEYS

MAX_SEEDS = 1_000_000  # of a sweep


def stack_seeds(overrides: Sequence[Override], stack_size: int | None = None) -> list[Override]:
    """Turn sweeps over ``seed`` and ``seeds.*`` into sweeps over stacks, which are lists of seeds.

    The application crosses the lists of one job, so a stack has as many members as the product of their lengths.

    Args:
        overrides: Overrides of any keys; the last of a key counts.
        stack_size: Maximum number of members in a stack. The lists of the last keys are kept whole as long as they fit,
            those of the first are cut.

    Returns:
        The overrides to take the product with, in place of those given.

    Raises:
        CompactHydraException: If seeds are swept over something that cannot be listed.
    """
    stacked = [_stack(override) for override in overrides]
    if stack_size is None:
        return stacked
    sizes = {override.key_or_group: _longest(override) for override in stacked if _sets_seeds(override)}
    room = stack_size
    for key in sorted(sizes, key=SEED_KEYS.index, reverse=True):
        sizes[key] = min(sizes[key], room)
        room //= max(sizes[key], 1)
    return [_cut(override, sizes[override.key_or_group]) if _sets_seeds(override) else override for override in stacked]


def _sets_seeds(override: Override) -> bool:
    return override.key_or_group in SEED_KEYS and override.package is None and not override.is_delete()


def _stack(override: Override) -> Override:
    """Turn a sweep over seeds into a sweep over stacks; other overrides stay as they are.

    A swept ``seed=1,2,5`` becomes the one value ``seed=[1,2,5]``. Lists are stacks already: ``seed=[1,2,5]`` stays
    one and ``seed=[0,1],[2,3]`` stays a sweep over two.
    """
    if not (_sets_seeds(override) and override.is_sweep_override()):
        return override
    seeds = _swept_values(override)
    return _sweep(override, seeds if any(isinstance(seed, list) for seed in seeds) else [seeds])


def _swept_values(override: Override) -> list[Any]:
    listable = override.is_discrete_sweep() and override.value_type is not ValueType.GLOB_CHOICE_SWEEP
    try:
        if listable:
            seeds = list(islice(override.sweep_iterator(), MAX_SEEDS + 1))
            if len(seeds) <= MAX_SEEDS:
                return seeds
    except (ValueError, HydraException):  # a range whose step is 0
        pass
    rule = f"swept over a range or list of at most {MAX_SEEDS} values"
    raise CompactHydraException(f"Expected `{override.key_or_group}` to be {rule}, got {override.get_value_string()}.")


def _stacks(override: Override) -> list[Any]:
    """Return the stacks that an override sweeps over, or the one value that it sets."""
    value = override._value
    return value.list if isinstance(value, ChoiceSweep) else [value]


def _longest(override: Override) -> int:
    return max(len(stack) if isinstance(stack, list) else 1 for stack in _stacks(override))


def _cut(override: Override, size: int) -> Override:
    """Cut the stacks of an override into consecutive ones of at most ``size`` seeds."""
    if not any(isinstance(stack, list) for stack in _stacks(override)):
        return override
    size = max(size, 1)
    pieces: list[Any] = []
    for stack in _stacks(override):
        listed = isinstance(stack, list) and len(stack) > size
        pieces += [stack[start : start + size] for start in range(0, len(stack), size)] if listed else [stack]
    return _sweep(override, pieces)


def _sweep(override: Override, stacks: list[Any]) -> Override:
    return replace(override, value_type=ValueType.CHOICE_SWEEP, _value=ChoiceSweep(list=stacks))
