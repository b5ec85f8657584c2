"""Timing of losslab and of other ways to train many small networks, in alternating rounds.

python -m scripts.benchmark --quick
python -m scripts.benchmark --json measured.json --plot measured.png
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from scripts.benchmark import device, engine, growth, history, whole, wide
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.context import Context
from scripts.benchmark.engine import BACKENDS, ENGINE, WIDE, Progress, TimingPlan
from scripts.benchmark.options import known, parse
from scripts.benchmark.plot import draw
from scripts.benchmark.tables import tables
from src.storage.atomic import replacing_file
from src.utils.console import console_output

LECTURE, SHORT = 499, 3  # epochs of a whole command
SEGMENTS = (100, 20)  # epochs before measuring, up to step 2,600, and of a segment
SHORT_SEGMENTS = (2, 2)


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 if a measurement failed, 2 if there is no GPU."""
    options = parse(arguments)
    errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    output = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        gpu = device.gpu_name() if options.accelerator == "gpu" else None
    except BenchmarkError as error:
        errors.print(f"benchmark: {error}")
        return 2
    content = known(options.json) if options.json else {}
    fresh: dict[str, Any] = {}  # without those of earlier calls
    try:
        with progress(errors) as report:
            context = Context(options.quick)
            for part, measured in measurements(options, gpu, report):
                described = measured | {"context": context.describe()}
                content, fresh = merged(content, part, described), merged(fresh, part, described)
                context = Context(options.quick)
                if options.json:  # after each part, as the next may take long
                    with replacing_file(options.json) as scratch:
                        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if options.plot:
            draw(content, options.plot)
        changes = history.append(options.history, fresh) if options.history else []
    except (BenchmarkError, OSError) as error:
        errors.print(f"benchmark: {error}")
        return 1
    for table in tables(content):
        output.print(table, *([] if isinstance(table, str) else [""]))
    for line in changes:
        output.print(line, soft_wrap=True)
    return 0


def measurements(
    options: argparse.Namespace, gpu: str | None, report: Progress
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure part by part."""
    if gpu:
        yield "gpu", device.measure(gpu, options.quick, report)
        return
    for part in options.parts:
        if part == ENGINE:
            yield from engine_sizes(options, report)
        elif part == WIDE:
            yield from wide_sizes(options, report)
        elif part == "growth":
            yield part, {"axes": growth.measure(options.quick, report)}
        else:
            yield part, whole.measure(part, options.rounds, SHORT if options.quick else LECTURE, options.full, report)


def engine_sizes(options: argparse.Namespace, report: Progress) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure the engine size by size."""
    present, missing = backends_of(options, ENGINE)
    plan = TimingPlan(options.rounds, *(SHORT_SEGMENTS if options.quick else SEGMENTS))
    for size in options.sizes:
        measured = engine.measure(present, size, plan, report)
        described = {"before": plan.before, "epochs": plan.epochs}
        yield ENGINE, {"plan": described, "sizes": {str(size): measured}, "absent": missing}


def wide_sizes(options: argparse.Namespace, report: Progress) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure wide networks, by size of mini-batches and number of networks, and the roofline of the machine."""
    present, missing = backends_of(options, WIDE)
    report("the roofline")
    floors = wide.floors()
    common = {"plan": {"quick": options.quick}, "absent": missing, "roofline": floors}
    for batch_size, size, measured in wide.measure_sizes(
        present, options.wide_sizes, options.rounds, options.quick, report
    ):
        yield WIDE, common | {"sizes": {f"{batch_size} {size}": measured}}


def backends_of(options: argparse.Namespace, part: str) -> tuple[list[str], dict[str, str]]:
    """Return the chosen backends of a part that can be measured, and the package of each that lacks one."""
    chosen = [backend for backend in options.backends if part in BACKENDS[backend].parts]
    missing = engine.absent(chosen)
    return [backend for backend in chosen if backend not in missing], missing


def merged(content: dict[str, Any], part: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content with a part replaced; sizes of networks join those that were measured in the same way."""
    earlier = content.get(part, {})
    if part in (ENGINE, WIDE) and earlier.get("plan") == measured["plan"]:
        busiest = max(of["context"]["others"] for of in (earlier, measured))
        measured = measured | {"sizes": earlier["sizes"] | measured["sizes"]}
        measured["context"] = measured["context"] | {"others": busiest}
    return content | {part: measured}


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """Return a function that shows the current measurement, on a terminal only."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


if __name__ == "__main__":
    sys.exit(main())
