"""Measurements as tables for the console."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from scripts.benchmark import whole
from scripts.benchmark.engine import BACKENDS, OURS, STEPS, WIDE
from scripts.benchmark.targets import CORES, Verdict, fastest, ratios, verdicts

Content = dict[str, Any]
QUIET = 0.05  # of all cores that other programs may use


def tables(content: Content) -> Iterator[Table | str]:
    """Yield a table for each part that was measured, and the comparison with the targets."""
    if "engine" in content:
        yield from _engine(content["engine"])
    if WIDE in content:
        yield from _wide(content[WIDE])
    if parts := [part for part in whole.PARTS if part in content]:
        yield f"whole commands, epochs {', '.join(str(content[part]['epochs']) for part in parts)}:"
        yield _whole(content, parts)
    if "growth" in content:
        yield "one command of one condition as its work grows:"
        yield _growth(content["growth"])
        yield from filter(None, (measured["failure"] for measured in content["growth"]["axes"].values()))
    if "gpu" in content:
        yield from _gpu(content["gpu"])
    busy = {part: value["context"]["others"] for part, value in content.items()}
    if max(busy.values()) > QUIET:
        shares = ", ".join(f"{part} {share:.0%}" for part, share in busy.items() if share > QUIET)
        yield f"Other programs used much of the machine ({shares}): its times are unreliable, its ratios less so."
    serious = {part: value for part, value in content.items() if not value["context"]["quick"]}
    if len(serious) < len(content):
        yield "--quick measures too little for a comparison with the targets."
    if compared := verdicts(serious):
        yield from _verdicts(compared, {value["context"]["cores"] for value in serious.values()})


def _engine(engine: Content) -> Iterator[Table | str]:
    before, epochs = STEPS * engine["plan"]["before"], STEPS * engine["plan"]["epochs"]
    sizes = sorted(engine["sizes"], key=int)
    forms = list(dict.fromkeys(form for size in sizes for form in engine["sizes"][size]))
    forms.sort(key=lambda form: list(BACKENDS).index(form.partition(",")[0]))
    columns = ["", *(f"S = {size}" for size in sizes)]
    cost, times = Table(*columns, box=None), Table(*columns, box=None)
    for form in forms:
        cells: dict[str, tuple[str, str]] = {}
        for size in sizes:
            measured = engine["sizes"][size]
            if form in measured:
                us = measured[form]["us"]
                cells[size] = _spread(us), _times(us, fastest(measured, OURS))
        name, _, processes = form.partition(",")
        label = f"{BACKENDS[name].title},{processes}"
        cost.add_row(label, *(cells[size][0] if size in cells else "-" for size in sizes))
        times.add_row(label, *(cells[size][1] if size in cells else "-" for size in sizes))
    yield f"us per step and network, minimum (median); segments of {epochs} steps from step {before + 1} on:"
    yield cost
    yield "as a multiple of losslab's, median:"
    yield times
    yield from _absent(engine["absent"])


def _absent(absent: dict[str, str]) -> Iterator[str]:
    for backend, package in absent.items():
        yield f'{BACKENDS[backend].title}: not measured, as {package} is not installed (pip install -e ".[bench]")'


def _wide(measured: Content) -> Iterator[Table | str]:
    columns = sorted(measured["sizes"], key=lambda name: [int(word) for word in name.split()])
    labels = [f"{size} x {batch_size}" for batch_size, size in (name.split() for name in columns)]
    forms = dict.fromkeys(form for name in columns for form in measured["sizes"][name])
    cost, times = Table("", *labels, box=None), Table("", *labels, box=None)
    for form in sorted(forms, key=lambda form: list(BACKENDS).index(form.partition(",")[0])):
        name, _, processes = form.partition(",")
        found = [(measured["sizes"][column].get(form), measured["sizes"][column]) for column in columns]
        label = f"{BACKENDS[name].title},{processes}"
        cost.add_row(label, *(_spread(own["us"]) if own else "-" for own, _ in found))
        times.add_row(label, *(_times(own["us"], fastest(all_forms, OURS)) if own else "-" for own, all_forms in found))
    roofline = measured["roofline"]
    if roofline is not None:
        rates = f"{roofline['operations'] / 1e9:.0f} GFLOP/s, {roofline['bytes'] / 1e9:.0f} GB/s"
        cost.add_row(f"at most possible ({rates})", *(f"{roofline['us'][column.split()[0]]:.0f}" for column in columns))
    yield "wide networks, us per step and network, minimum (median), for networks S x samples of a mini-batch:"
    yield cost
    yield "as a multiple of losslab's, median:"
    yield times
    yield from _absent(measured["absent"])


def _times(us: Sequence[float], ours: Sequence[float] | None) -> str:
    return "-" if ours is None else f"{statistics.median(ratios(us, ours)):.2f}"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.1f} ({statistics.median(values):.1f})"


def _whole(content: Content, parts: list[str]) -> Table:
    table = Table("seconds", "min", "median", "peak MB", box=None)
    for part in parts:
        measured = content[part]
        for name, values in measured["seconds"].items():
            extrapolated = name in (whole.ALL, whole.BOTH) and not measured["full"]
            memory = measured["memory"].get(name)
            table.add_row(
                f"{name}, extrapolated" if extrapolated else name,
                f"{min(values):.2f}",
                f"{statistics.median(values):.2f}",
                f"{max(memory) / 1e6:.0f}" if memory else "-",
            )
    return table


def _growth(growth: Content) -> Table:
    table = Table("", "", "epochs", "seconds", "peak MB", box=None)
    for axis, measured in growth["axes"].items():
        for value, seconds, memory in zip(*(measured[key] for key in ("values", "seconds", "memory")), strict=True):
            table.add_row(axis, f"{value:,}", str(measured["epochs"]), f"{seconds:.1f}", f"{memory / 1e6:.0f}")
    return table


def _gpu(gpu: Content) -> Iterator[Table | str]:
    table = Table("networks S", gpu["device"], "CPU, all cores", box=None)
    cpu = {int(size): values for size, values in gpu["cpu"].items()}
    for size, values in gpu["gpu"].items():
        on_cpu = cpu.get(int(size))
        table.add_row(f"{int(size):,}", f"{min(values):.3f}", f"{min(on_cpu):.3f}" if on_cpu else "-")
    yield "us per step and network, minimum:"
    yield table
    at = gpu["overtakes"]
    yield "the GPU never overtakes the CPU" if at is None else f"the GPU overtakes the CPU at {at:,.0f} networks"


def _verdicts(compared: Sequence[Verdict], cores: set[int]) -> Iterator[Table | str]:
    yield "targets, compared with the best round of a time and the median of a ratio:"
    if cores != {CORES}:
        yield f"(meant for {CORES} cores; this machine has {', '.join(map(str, sorted(cores)))})"
    table = Table("", "measured", "target", "met", box=None)
    for verdict in compared:
        unit = f" {verdict.unit}" if verdict.unit else ""
        target = f"{verdict.rule} {verdict.limit:g}{unit}"
        table.add_row(verdict.name, f"{verdict.value:.2f}{unit}", target, "yes" if verdict.met else "NO")
    yield table
