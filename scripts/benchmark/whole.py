"""Whole commands, with start-up and files: losslab's against the lecture's loop, and against each other."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

from scripts.benchmark.command import run, run_together
from scripts.benchmark.engine import Progress
from src.parallel.cpu import available_cpus

SEEDS = 20  # of each condition of experiment=hw4
MANY = 1000
CONDITIONS = [*product(("mse", "ce"), (2, 4))]
ONE = "the lecture's loop, one network: ce 2"
TRAIN = "src.train loss=ce classes=2"
ALL = "the loop, all 80 networks in turn"
BOTH = "the loop, all 80 networks in one process per core"
HW4 = "src.train --multirun experiment=hw4"
LEAN = ("export=none", "figures=none", "predictions=false")
FEW_SEEDS = f"loss=ce classes=2 seed=range({SEEDS}) {' '.join(LEAN)}"
MANY_SEEDS = f"loss=ce classes=2 seed=range({MANY}) {' '.join(LEAN)}"
NO_TRAINING = f"the same {MANY} seeds for one epoch"
HELP, CFG = "src.train --help", "src.train --cfg job"
SMALLEST = "import, configuration, one epoch of 10 samples"

Measured = dict[str, Any]


class Rounds:
    """The seconds, and the peak memory in bytes, of each command in each round."""

    def __init__(self, epochs: int) -> None:
        self.epochs = f"trainer.max_epochs={epochs}"
        self.seconds: dict[str, list[float]] = {}
        self.memory: dict[str, list[int]] = {}

    def time(self, name: str, *words: str) -> None:
        """Run ``src.train`` with these words."""
        finished = run("src.train", *words)
        self.seconds.setdefault(name, []).append(finished.seconds)
        self.memory.setdefault(name, []).append(finished.memory)

    def loop(self, loss: str, classes: int, shares: list[range]) -> tuple[float, float]:
        """Run the lecture's loop on each share of the seeds at once; return seconds in all and of training alone."""
        words = [loss, str(classes), "--epochs", self.epochs.partition("=")[2], "--threads", "1"]
        commands = [
            ("scripts.benchmark.lecture_loop", *words, "--first", str(share.start), "--seeds", str(len(share)))
            for share in shares
        ]
        done = run_together(commands)
        return max(each.seconds for each in done), max(sum(json.loads(each.output)["seconds"]) for each in done)

    def add(self, name: str, seconds: float) -> None:
        """Record the seconds of the lecture's loop."""
        self.seconds.setdefault(name, []).append(seconds)

    def measured(self) -> Measured:
        """Return everything, for a JSON file."""
        return {"seconds": self.seconds, "memory": self.memory}


def single(rounds: Rounds, full: bool) -> None:
    """Compare one network."""
    rounds.time(TRAIN, "loss=ce", "classes=2", rounds.epochs)
    rounds.add(ONE, rounds.loop("ce", 2, [range(1)])[0])


def hw4(rounds: Rounds, full: bool) -> None:
    """Compare the 80 networks of homework 4.

    Unless ``full``, the loop runs once for each condition and counts 20 times its training, and one start-up.
    """
    rounds.time(HW4, "--multirun", "experiment=hw4", rounds.epochs)
    for name, workers in ((ALL, 1), (BOTH, available_cpus())):
        share = -(-SEEDS // workers) if full else 1
        shares = [range(start, min(start + share, SEEDS)) for start in range(0, share * workers, share)]
        took = [rounds.loop(*condition, [each for each in shares if each]) for condition in CONDITIONS]
        start_up = sum(whole - inside for whole, inside in took) / len(took)
        times = 1.0 if full else SEEDS / workers
        rounds.add(name, times * sum(inside for _, inside in took) + start_up)


def seeds(rounds: Rounds, full: bool) -> None:
    """Compare 1,000 seeds with 20, and with one epoch of them."""
    for name, number, epochs in (
        (FEW_SEEDS, SEEDS, rounds.epochs),
        (MANY_SEEDS, MANY, rounds.epochs),
        (NO_TRAINING, MANY, "trainer.max_epochs=1"),
    ):
        rounds.time(name, "--multirun", "loss=ce", "classes=2", f"seed=range({number})", *LEAN, epochs)


def start(rounds: Rounds, full: bool) -> None:
    """Time the start-up of commands."""
    rounds.time(HELP, "--help")
    rounds.time(CFG, "--cfg", "job")
    rounds.time(SMALLEST, "loss=ce", "classes=2", "data.samples_per_class=5", "trainer.max_epochs=1", *LEAN)


PARTS: dict[str, Callable[[Rounds, bool], None]] = {"single": single, "hw4": hw4, "seeds": seeds, "start": start}


def measure(part: str, rounds: int, epochs: int, full: bool, report: Progress) -> Measured:
    """Run the commands of a part in alternating rounds."""
    measured = Rounds(epochs)
    for number in range(rounds):
        report(f"{part}: round {number + 1} of {rounds}")
        PARTS[part](measured, full)
    return {"rounds": rounds, "epochs": epochs, "full": full, "cores": available_cpus(), **measured.measured()}
