"""Training alone of wider networks on more data: the handwritten digits, with larger mini-batches."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.benchmark import roofline
from scripts.benchmark.engine import Progress, TimingPlan, measure

HIDDEN = (256, 256)
FEATURES, CLASSES = 64, 10
SAMPLES = 1438  # of the digits, without those for the test
BATCH_SIZES = (64, 256)
SIZES = (20, 80)
SEGMENT = 46  # steps of a segment at least, and before the first: whole epochs
WIDTHS = [FEATURES, *HIDDEN, CLASSES]


def overrides(batch_size: int) -> tuple[str, ...]:
    """Return the overrides of losslab's settings for a size of mini-batches."""
    hidden = ",".join(map(str, HIDDEN))
    return "data=digits", f"classes={CLASSES}", f"model.hidden=[{hidden}]", f"data.batch_size={batch_size}"


def plan(rounds: int, quick: bool, batch_size: int) -> TimingPlan:
    """Return the rounds and epochs for a size of mini-batches."""
    steps = math.ceil(SAMPLES / batch_size)
    epochs = 1 if quick else math.ceil(SEGMENT / steps)
    return TimingPlan(rounds, epochs, epochs, overrides(batch_size), steps)


def measure_sizes(
    backends: Sequence[str], sizes: Sequence[int], rounds: int, quick: bool, report: Progress
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Measure for each size of mini-batches and number of networks, and yield both with the measurements."""
    for batch_size in BATCH_SIZES:
        for size in sizes:
            planned = plan(rounds, quick, batch_size)
            yield batch_size, size, measure(backends, size, planned, report)


def floors() -> dict[str, Any] | None:
    """Return the roofline and the least time of a step by it, us by size of mini-batches; None without a compiler."""
    measured = roofline.measure()
    if measured is None:
        return None
    return measured | {"us": {str(size): roofline.floor(measured, WIDTHS, size) for size in BATCH_SIZES}}
