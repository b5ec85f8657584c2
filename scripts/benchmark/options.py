"""Command-line options of the benchmark."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmark import history, whole, wide
from scripts.benchmark.engine import BACKENDS, ENGINE, WIDE
from scripts.cli import Parser, at_least_one
from src.utils.console import command_name

PARTS = (ENGINE, WIDE, *whole.PARTS, "growth")
SIZES = (1, 20, 80, 320)
PICTURES = (".png", ".svg", ".pdf")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the program with one line and exit code 2."""
    parser = Parser(
        prog=command_name("scripts.benchmark"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="one short round of everything, to see that it runs; compares nothing with the targets",
    )
    add("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    add(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        default=list(BACKENDS),
        metavar="NAME",
        help=f"of {', '.join(BACKENDS)}",
    )
    add(
        "--sizes",
        nargs="+",
        type=at_least_one,
        metavar="S",
        help="numbers of networks (default: 1 20 80 320, wide: 20 80)",
    )
    add("--rounds", type=at_least_one, metavar="N", help="alternating rounds (default: 3)")
    add("--full", action="store_true", help="run the loop for all 80 networks of hw4, which takes very long")
    add("--json", type=_json, metavar="FILE", help="keep all measurements in this file, those of earlier calls too")
    add("--history", type=_history, metavar="FILE", help="add a row with the ratios of this call to this CSV file")
    add("--plot", type=_picture, metavar="FILE", help="draw the measurements as PNG, SVG or PDF")
    add("--accelerator", choices=("cpu", "gpu"), default="cpu", help="gpu: find where a GPU overtakes the CPU")
    options = parser.parse_args(arguments)
    options.wide_sizes = options.sizes or ([2] if options.quick else list(wide.SIZES))
    options.sizes = options.sizes or ([1, 20] if options.quick else list(SIZES))
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _writable(text: str) -> Path:
    """Return the path of a file that can be written, before minutes are spent on measuring."""
    path = Path(text)
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a file that can be written, got {text!r}")
    return path


def _json(text: str) -> Path:
    """Return the path of a file that is to be written, or holds earlier measurements."""
    path = _writable(text)
    if path.exists():
        try:
            known(path)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a file of earlier measurements, got {text!r}") from None
    return path


def _history(text: str) -> Path:
    """Return the path of a file that is to be written, or holds rows of earlier calls."""
    path = _writable(text)
    try:
        history.read(path)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a file that --history wrote, got {text!r}") from None
    return path


def known(path: Path) -> dict[str, Any]:
    """Return the measurements in a file; none where there is no file.

    Raises:
        ValueError: If it holds something else.
    """
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not isinstance(content, dict) or not set(content) <= {*PARTS, "gpu"}:
        raise ValueError(path)
    return content


def _picture(text: str) -> Path:
    path = _writable(text)
    if path.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"expected a file that ends in {', '.join(PICTURES)}, got {text!r}")
    return path


DESCRIPTION = """\
Time losslab and other ways to train many small networks, in alternating rounds.

engine  training alone: the lecture's loop, a LightningModule with a DataLoader, scikit-learn, torch.func.vmap, JAX
        (extra "bench") and losslab, each in one process and in one process per core; steps 2,601 to 4,160 of networks
        2-50-100-50-2 with cross-entropy, Adam and mini-batches of 5
wide    the same for networks 64-256-256-10 on the handwritten digits, with mini-batches of 64 and 256, beside JAX by
        lax.map, torch.compile, and what the machine can do at most
single  one network: python -m src.train loss=ce classes=2 against the loop, whole commands
hw4     80 networks: experiment=hw4 against the loop for each in turn, and in one process per core
seeds   1,000 seeds of one condition against 20
start   --help, --cfg job, and the smallest run
growth  seconds and peak memory against seeds, samples, classes and width
"""
EPILOG = """\
The loop's time for 80 networks is extrapolated: it runs once for each of the four conditions (once a core at the same
time), and counts 20 times its training and one start-up; --full runs all 80. Backends that train networks one at a time
train one in each process. The unit is wall-clock time of the whole machine. On a busy machine only the ratios
are reliable, and after --quick no number is.
"""
