"""Time losslab's commands against the lecture's own training loop, whole processes, in alternating rounds.

python -m scripts.benchmark --rounds 3
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import track
from rich.table import Table

SEEDS = 20  # of each condition of experiment=hw4
CONDITIONS = [*product(("mse", "ce"), (2, 4))]
ALL = "the loop, all 80 networks in turn"
ONE = "the loop, one network: ce 2"
TRAIN = "src.train loss=ce classes=2"
SWEEP = "src.train --multirun experiment=hw4"
SPREAD: tuple[Callable[[Sequence[float]], float], ...] = (min, statistics.median)
RATIOS = {"one network": (ONE, TRAIN, 1.0), "80 networks": (ALL, SWEEP, 15.0)}  # slow, fast, the least that is asked


class BenchmarkError(Exception):
    """What was asked for cannot be measured; the message is one line."""


@dataclass
class Measurements:
    """What the rounds gave.

    Attributes:
        seconds: By name, the wall-clock seconds of each round.
        memory: The peak memory of the sweep in each round, in bytes.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in (ONE, TRAIN, ALL, SWEEP)})
    memory: list[int] = field(default_factory=list)

    def ratios(self, name: str) -> list[float]:
        """Return how many times faster the command was in each round."""
        slow, fast, _ = RATIOS[name]
        return [a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"benchmark: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 where something could not be measured."""
    options = _parser().parse_args(arguments)
    errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    measured = Measurements()
    try:
        rounds = range(1, options.rounds + 1)
        for _ in track(rounds, "rounds", console=errors, transient=True, disable=not errors.is_terminal):
            _round(measured, options)
        if options.json is not None:
            options.json.write_text(json.dumps(_report(measured, options), indent=2) + "\n", encoding="utf-8")
    except (BenchmarkError, OSError) as error:
        errors.print(f"benchmark: {error}")
        return 1
    _print(measured, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m scripts.benchmark",
        description="Time losslab's commands against the lecture's own training loop (a DataLoader of 5, Adam), "
        "whole processes with start-up and files, in alternating rounds. A round of 499 epochs takes some minutes.",
        epilog="One network is `python -m src.train loss=ce classes=2` against the loop as one script. 80 networks are "
        "`experiment=hw4` against the loop run for each of them in turn. That time is extrapolated: the loop is run "
        f"once for each of the four conditions, and counts {SEEDS} times its time without start-up, and one start-up; "
        "--full runs all 80. On a busy machine trust the ratios alone.",
    )
    parser.add_argument("--rounds", type=_positive, default=3, metavar="N", help="rounds to measure (default: 3)")
    parser.add_argument("--epochs", type=_positive, default=499, metavar="E", help="epochs to train (default: 499)")
    parser.add_argument("--json", type=_file, metavar="FILE", help="write all measurements to this file as well")
    parser.add_argument("--full", action="store_true", help="run the loop for all 80 networks, which takes very long")
    parser.add_argument(
        "--loop-threads",
        type=_positive,
        default=1,
        metavar="N",
        help="threads of the lecture's loop (default: 1, with which its small operations are fastest)",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _file(text: str) -> Path:
    """Return the path of a file that can be written, before minutes are spent on measuring."""
    path = Path(text)
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a file that can be written, got {text!r}")
    return path


def _round(measured: Measurements, options: argparse.Namespace) -> None:
    """Measure everything once, what is compared side by side."""
    seconds = measured.seconds
    epochs = f"trainer.max_epochs={options.epochs}"
    seconds[TRAIN].append(_run("src.train", "loss=ce", "classes=2", epochs)[0])
    whole, inside = _loop(options, "ce", 2)
    seconds[ONE].append(whole)
    took, memory = _run("src.train", "--multirun", "experiment=hw4", epochs)[:2]
    seconds[SWEEP].append(took)
    measured.memory.append(memory)
    if options.full:
        seconds[ALL].append(sum(_loop(options, *condition, SEEDS)[0] for condition in CONDITIONS))
        return
    start_up = whole - inside
    each = {("ce", 2): inside} | {other: _loop(options, *other)[1] for other in CONDITIONS if other != ("ce", 2)}
    seconds[ALL].append(SEEDS * sum(each.values()) + start_up)


def _loop(options: argparse.Namespace, loss: str, classes: int, seeds: int = 1) -> tuple[float, float]:
    """Run the lecture's loop and return the seconds of the whole command and those of the training alone."""
    settings = {"--seeds": seeds, "--epochs": options.epochs, "--threads": options.loop_threads}
    words = [str(word) for pair in settings.items() for word in pair]
    took, _, output = _run("scripts.lecture_loop", loss, str(classes), *words)
    return took, sum(json.loads(output)["seconds"])


def _run(module: str, *arguments: str) -> tuple[float, int, str]:
    """Run ``python -m module`` in an empty folder and return its seconds, its peak memory in bytes and its output.

    Raises:
        BenchmarkError: If it fails; the message ends with the last line that it wrote.
    """
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        took, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read()
    if process.returncode != 0:
        said = [line for line in output.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
        words = " ".join([module, *arguments])
        raise BenchmarkError(f"{words} ended with code {process.returncode}: {[*said[-1:], 'no output'][0]}")
    return took, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), output


def _report(measured: Measurements, options: argparse.Namespace) -> dict[str, Any]:
    """Return all measurements and what they were taken with, for a JSON file."""
    return {
        "rounds": options.rounds,
        "epochs": options.epochs,
        "loop_threads": options.loop_threads,
        "extrapolated": not options.full,
        "seconds": measured.seconds,
        "ratios": {name: measured.ratios(name) for name in RATIOS},
        "peak_memory_bytes": measured.memory,
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "torch": importlib.metadata.version("torch"),
    }


def _print(measured: Measurements, options: argparse.Namespace) -> None:
    """Print the seconds, the ratios and the memory: the least and the median of the rounds."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    seconds = Table("seconds", "min", "median", title=f"{options.rounds} rounds of {options.epochs} epochs", box=None)
    for name, values in measured.seconds.items():
        label = f"{name}, extrapolated" if name == ALL and not options.full else name
        seconds.add_row(label, *(f"{of(values):.2f}" for of in SPREAD))
    ratios = Table("times faster", "min", "median", "asked for", box=None)
    for name, (_, _, least) in RATIOS.items():
        ratios.add_row(name, *(f"{of(measured.ratios(name)):.2f}" for of in SPREAD), f"{least:g}")
    console.print(seconds, "", ratios, "", sep="\n")
    console.print(f"peak memory of experiment=hw4: {max(measured.memory) / 1e9:.2f} GB (asked for: under 1.5)")


if __name__ == "__main__":
    sys.exit(main())
