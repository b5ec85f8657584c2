"""Growth of the seconds and peak memory of a whole command with its work."""

from dataclasses import dataclass
from typing import Any

from scripts.benchmark.command import BenchmarkError, Finished, run
from scripts.benchmark.engine import Progress
from scripts.benchmark.whole import LEAN


@dataclass(frozen=True)
class Axis:
    """One way in which work grows."""

    values: tuple[int, ...]  # the sizes to measure
    override: str  # the override that sets a size, with `{}` for the size divided by `scale`
    epochs: int  # epochs to train
    scale: int = 1  # the size is divided by this

    def words(self, value: int) -> list[str]:
        """Return the overrides of a size."""
        size = value // self.scale
        return [self.override.format(size, 2 * size), f"trainer.max_epochs={self.epochs}"]


AXES = {
    "seeds": Axis((1, 10, 100, 1000), "seed=range({0})", epochs=10),
    "samples": Axis(  # of two classes
        (100, 1_000, 10_000, 100_000, 1_000_000), "data.samples_per_class={0}", epochs=1, scale=2
    ),
    "classes": Axis((2, 4, 8, 16, 32, 64), "classes={0}", epochs=10),
    "width": Axis((25, 50, 100, 200, 400), "model.hidden=[{0},{1},{0}]", epochs=10),
}


def measure(quick: bool, report: Progress) -> dict[str, Any]:
    """Run the command for the sizes of every axis, or for the two smallest; return seconds and bytes.

    An axis ends at a size for which the command fails, and the failure is kept with it.
    """
    measured: dict[str, Any] = {}
    for name, axis in AXES.items():
        finished: dict[int, Finished] = {}
        failure = None
        for value in axis.values[:2] if quick else axis.values:
            report(f"growth: {value:,} {name}")
            try:
                finished[value] = run("src.train", "--multirun", "loss=ce", *LEAN, *axis.words(value))
            except BenchmarkError as error:
                failure = f"{value:,} {name}: {error}"
                break
        measured[name] = {
            "values": list(finished),
            "epochs": axis.epochs,
            "seconds": [each.seconds for each in finished.values()],
            "memory": [each.memory for each in finished.values()],
            "failure": failure,
        }
    return measured
