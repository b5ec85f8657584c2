"""Targets for losslab on two cores, and whether the measurements meet them."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.benchmark import whole
from scripts.benchmark.engine import OURS

CORES = 2  # of the machine that the targets are meant for
EACH_CORE = f"{OURS}, one process per core"
JAX = "jax, one process per core"
OTHERS = ("jax", "JAX vmap", 1.0), ("jax_map", "JAX lax.map", 1.0), ("loop", "the loop", 3.0)  # of wide networks
AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True)
class Verdict:
    """One target and its measurement.

    Attributes:
        name: What is measured.
        values: The value of each round.
        rule: ``at least`` or ``at most``.
        limit: The target.
        best: Whether the best round counts, as for a time, which a busy machine makes longer; otherwise the median.
        unit: Of the values.
    """

    name: str
    values: Sequence[float]
    rule: str
    limit: float
    best: bool = False
    unit: str = ""

    @property
    def value(self) -> float:
        """The number that counts."""
        return min(self.values) if self.best else statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.limit if self.rule == AT_LEAST else self.value <= self.limit


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """Return slow / fast, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def fastest(forms: Mapping[str, Any], backend: str) -> Sequence[float] | None:
    """Return the rounds of a backend's faster form, or None where it was not measured."""
    rounds: list[list[float]] = [value["us"] for form, value in forms.items() if form.startswith(f"{backend},")]
    return min(rounds, key=statistics.median, default=None)


def verdicts(content: dict[str, Any]) -> list[Verdict]:
    """Return a verdict on each target that was measured, in full length."""
    return [
        *_engine(content.get("engine", {})),
        *_wide(content.get("wide", {})),
        *_whole(content),
        *_seeds(content.get("seeds", {})),
    ]


def _engine(engine: dict[str, Any]) -> Iterator[Verdict]:
    one = engine.get("sizes", {}).get("1", {})
    ours, theirs = (fastest(one, backend) for backend in (OURS, "jax"))
    if ours and theirs:
        yield Verdict("JAX / losslab, S = 1", ratios(theirs, ours), AT_LEAST, 1.0)
    for size, limit in (("20", 12.0), ("80", 10.5)):
        forms = engine.get("sizes", {}).get(size, {})
        if EACH_CORE in forms:
            ours = forms[EACH_CORE]["us"]
            yield Verdict(f"engine, S = {size}", ours, AT_MOST, limit, best=True, unit="us")
            if JAX in forms:
                yield Verdict(f"tuned JAX / losslab, S = {size}", ratios(forms[JAX]["us"], ours), AT_LEAST, 1.0)


def _wide(wide: dict[str, Any]) -> Iterator[Verdict]:
    for name, forms in wide.get("sizes", {}).items():
        batch_size, size = name.split()
        ours = fastest(forms, OURS)
        for backend, title, limit in OTHERS:
            theirs = fastest(forms, backend)
            if ours and theirs:
                label = f"wide: {title} / losslab, S = {size}, mini-batches of {batch_size}"
                yield Verdict(label, ratios(theirs, ours), AT_LEAST, limit)


def _whole(content: dict[str, Any]) -> Iterator[Verdict]:
    for part, name, slow, fast, limit in (
        ("hw4", "80 networks: the loop / losslab", whole.ALL, whole.HW4, 35.0),
        ("hw4", "80 networks: the loop in one process per core / losslab", whole.BOTH, whole.HW4, 18.0),
        ("single", "one network: the loop / losslab", whole.ONE, whole.TRAIN, 2.0),
    ):
        if part in content:
            seconds = content[part]["seconds"]
            yield Verdict(name, ratios(seconds[slow], seconds[fast]), AT_LEAST, limit)
    for name, limit in ((whole.HELP, 2.0), (whole.CFG, 2.0), (whole.SMALLEST, 6.0)):
        if "start" in content:
            yield Verdict(name, content["start"]["seconds"][name], AT_MOST, limit, best=True, unit="s")


def _seeds(seeds: dict[str, Any]) -> Iterator[Verdict]:
    if not seeds:
        return
    many, few = (seeds["seconds"][name] for name in (whole.MANY_SEEDS, whole.FEW_SEEDS))
    yield Verdict(f"{whole.MANY} seeds / {whole.SEEDS} seeds", ratios(many, few), AT_MOST, 15.0)
    memory = [value / 1e9 for value in seeds["memory"][whole.MANY_SEEDS]]
    yield Verdict(f"{whole.MANY} seeds: peak memory", memory, AT_MOST, 3.0, unit="GB")
