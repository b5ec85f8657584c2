from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import CompactHydraException, HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


def distributions(parser: OverridesParser, space: Mapping[str, str]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each setting in a space.

    Args:
        parser: Hydra's parser.
        space: By name of the setting a sweep in Hydra's grammar: a choice ``1,2``, a ``range(1, 5)``, or an
            ``interval(0.1, 1)``, which ``tag(log, ...)`` and ``tag(int, ...)`` turn logarithmic and integer.

    Raises:
        CompactHydraException: If a setting is not swept over, or Optuna refuses its bounds.
    """
    found = {}
    for name, sweep in space.items():
        try:
            found[name] = _distribution(parser.parse_override(f"{name}={sweep}"))
        except (ValueError, TypeError, HydraException) as error:
            reason = str(error).partition("\n")[0]
            raise CompactHydraException(
                f"Expected `hydra.sweeper.space` to give {name} a choice such as 1,2 or an interval(1, 2) ({reason}), "
                f"got {sweep}."
            ) from None
    return found


def first_value(distribution: BaseDistribution) -> Any:
    """Return a value of a distribution."""
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low  # type: ignore[attr-defined]


def _distribution(override: Override) -> BaseDistribution:
    if not override.is_sweep_override():
        raise ValueError("it has one value")
    sweep: Any = override.value()
    if isinstance(sweep, IntervalSweep):
        log = "log" in sweep.tags
        if "int" in sweep.tags:
            return IntDistribution(int(sweep.start), int(sweep.end), log=log)  # type: ignore[arg-type]
        return FloatDistribution(float(sweep.start), float(sweep.end), log=log)  # type: ignore[arg-type]
    if isinstance(sweep, RangeSweep):
        values: list[Any] = list(override.sweep_iterator())
        if all(isinstance(value, int) for value in values):
            return IntDistribution(min(values), max(values), step=abs(int(sweep.step)))
        return FloatDistribution(min(values), max(values), step=abs(float(sweep.step)))
    choices: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
    return CategoricalDistribution(choices)
