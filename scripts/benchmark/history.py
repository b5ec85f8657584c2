"""History of speed: one row per benchmark, with how many times as long as losslab others take."""

import csv
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.benchmark import whole
from scripts.benchmark.engine import OURS
from scripts.benchmark.targets import fastest, ratios
from src.storage.atomic import replacing_file

MAX_FALL = 0.1  # of a ratio, against the last one on the same machine
MACHINE = ("processor", "capability", "cores")
CONTEXT = ("when", "commit", "torch", *MACHINE, "others")
FELL = "fell"  # the column with the names of the ratios that fell, for who reviews the change of the file

_COMMANDS = whole.MANY // whole.SEEDS
_ENGINE = [(backend, size) for size in ("1", "20", "80") for backend in ("loop", "vmap", "jax")]
_WHOLE = {
    "loop for one network": ("single", 1, whole.ONE, whole.TRAIN),
    "loop for 80 networks": ("hw4", 1, whole.ALL, whole.HW4),
    f"{_COMMANDS} commands for {whole.MANY} seeds": ("seeds", _COMMANDS, whole.FEW_SEEDS, whole.MANY_SEEDS),
}
COLUMNS = (*CONTEXT, *(f"{backend} S={size}" for backend, size in _ENGINE), *_WHOLE, FELL)


def append(file: Path, content: dict[str, Any]) -> list[str]:
    """Add a row, and return a line for each ratio that fell by more than a tenth.

    Args:
        file: The CSV file, made where it does not exist.
        content: The measurements of one call, by part; those of ``--quick`` are left out.
    """
    content = {part: measured for part, measured in content.items() if not measured["context"]["quick"]}
    measured = dict(_ratios(content))
    if not measured:
        return ["history: no row was added, as no ratio was measured in full length"]
    contexts = [each["context"] for each in content.values()]
    row = {name: str(contexts[0][name]) for name in CONTEXT}
    row |= {"others": f"{max(each['others'] for each in contexts):.2f}"}
    rows = read(file)
    same = [each for each in rows if all(each[name] == row[name] for name in MACHINE)]
    last = {name: float(each[name]) for each in same for name in measured if each.get(name)}
    fell = [name for name in last if measured[name] < (1 - MAX_FALL) * last[name]]
    row |= {name: f"{value:.4g}" for name, value in measured.items()} | {FELL: "; ".join(fell)}
    with replacing_file(file) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, dict.fromkeys([*COLUMNS, *(rows[0] if rows else ())]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
    return [f"history: {name} fell from {last[name]:.4g} to {measured[name]:.4g} times losslab's time" for name in fell]


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a file; none where there is no file.

    Raises:
        ValueError: If it is no history.
    """
    if not file.exists():
        return []
    reader = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    if not {*CONTEXT} <= {*(reader.fieldnames or ())}:
        raise ValueError(file)
    return list(reader)


def _ratios(content: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the median over the rounds of each ratio that was measured."""
    for backend, size in _ENGINE:
        forms = content.get("engine", {}).get("sizes", {}).get(size, {})
        slow, fast = fastest(forms, backend), fastest(forms, OURS)
        if slow and fast:
            yield f"{backend} S={size}", statistics.median(ratios(slow, fast))
    for name, (part, times, slow_name, fast_name) in _WHOLE.items():
        if part in content:
            seconds = content[part]["seconds"]
            yield name, times * statistics.median(ratios(seconds[slow_name], seconds[fast_name]))
