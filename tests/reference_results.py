"""Reference results of short fixed runs: how they are measured, and what was recorded in reference_results.json.

``curve`` and ``distribution`` entries hold on every machine, within the tolerances of
tests/faults/test_reproducibility.py. A ``final`` entry holds where the machine rounds as the one that it was recorded
on, which its key says. When torch or the kernel changes on purpose, or to add a machine:

    python -m tests.reference_results                            # the final results of this machine
    ATEN_CPU_CAPABILITY=avx2 python -m tests.reference_results   # the same without AVX-512
    python -m tests.reference_results curve distribution         # after a change of data, start or training
"""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from tests.commands import results, run

RECORDED = Path(__file__).with_name("reference_results.json")
RECIPES = {  # by their losses
    "ce": ("loss=ce", "classes=2"),
    "mse": ("loss=mse", "classes=4"),
    "bce": ("loss=bce", "classes=2", "model=linear"),
}
FIFTY_STEPS = ("seed=3", "data.samples_per_class=20", "trainer.max_epochs=7")  # of mini-batches of 5 out of 32 samples
HUNDRED_SEEDS = (f"seed=[{','.join(map(str, range(100)))}]", "trainer.max_epochs=25")
FINAL = ("seed=3", "trainer.max_epochs=20")
QUIET = ("figures=none", "export=none")

Train = Callable[..., Any]  # trains with some overrides and leaves the results in a folder


def curve(train: Train, folder: Path, recipe: str, *more: str) -> list[float]:
    """Return the training loss of each of the first epochs, 50 steps in all."""
    size = ("data.samples_per_class=10",) if recipe == "mse" else ()  # of each class, of which it has twice as many
    train(*RECIPES[recipe], *FIFTY_STEPS, *size, *QUIET, *more, f"study=curve-{recipe}")
    [path] = folder.glob(f"outputs/curve-{recipe}/*/seed=3/history.csv")
    history = pd.read_csv(path)
    assert history["step"].iloc[-1] == 49
    return history["train/loss"].tolist()


def distribution(train: Train, folder: Path, recipe: str, *more: str) -> list[float]:
    """Return the population accuracies of 100 seeds after a short training, in order of the seeds."""
    train(*RECIPES[recipe], *HUNDRED_SEEDS, *QUIET, "predictions=false", *more, f"study=seeds-{recipe}")
    found = results(folder / "outputs" / f"seeds-{recipe}")
    accuracies = {seed: content["metrics"]["population/accuracy"] for (_, seed), content in found.items()}
    return [round(accuracies[seed], 6) for seed in range(100)]


def final(train: Train, folder: Path, engine: str) -> dict[str, list[float]]:
    """Return population accuracy and training loss of each recipe after 20 epochs."""
    for words in RECIPES.values():
        train(*words, *FINAL, *QUIET, f"engine={engine}", f"study=final-{engine}")
    found = {content["loss"]: content for content in results(folder / "outputs" / f"final-{engine}").values()}
    return {
        recipe: [found[recipe]["metrics"][name] for name in ("population/accuracy", "train/loss")] for recipe in RECIPES
    }


def key(engine: str) -> str:
    """Return what decides how a number is rounded on this machine, as the key of its final results."""
    config = torch.__config__.show()
    blas = "mkl" if torch.backends.mkl.is_available() else "accelerate" if "accelerate" in config.lower() else "other"
    parts = {
        "torch": torch.__version__.partition("+")[0],
        "arch": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "blas": blas,
        "rounding": _rounding(),
        "engine": engine if engine == "torch" else f"native by {_compiler()}",
    }
    return "final " + " ".join(f"{name}={value}" for name, value in parts.items())


def _rounding() -> str:
    """Return a hash of elementary results; BLAS and libm round by processor, which no version number tells."""
    generator = torch.Generator().manual_seed(0)
    digest = hashlib.sha256()
    for inner, outer in ((2, 50), (50, 100), (100, 50), (50, 4)):
        x = torch.randn(3, 5, inner, generator=generator)
        weight = torch.randn(3, inner, outer, generator=generator)
        product = torch.bmm(x, weight)
        for value in (product, torch.bmm(x.mT, product), product.exp(), product.log_softmax(-1), product.tanh()):
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:8]


def _compiler() -> str:
    """Return the name and version of the C compiler, or none."""
    compiler = shutil.which("cc")
    if compiler is None:
        return "none"
    shown = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return shown.splitlines()[0]


def read() -> dict[str, Any]:
    """Return all recorded results."""
    return json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}


def main(kinds: list[str]) -> None:
    """Measure and record results of some kinds."""
    recorded = read()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def train(*words: str) -> None:
            run("src.train", *words, folder=folder)

        if "curve" in kinds:  # in double precision, to be held against single precision anywhere
            recorded |= {f"curve {name}": curve(train, folder, name, "trainer.precision=64-true") for name in RECIPES}
        if "distribution" in kinds:
            recorded |= {f"distribution {name}": distribution(train, folder, name) for name in ("ce", "mse")}
        if "final" in kinds:
            engines = ["torch"] if shutil.which("cc") is None else ["torch", "native"]
            recorded |= {key(engine): final(train, folder, engine) for engine in engines}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(recorded.items())]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["final"])
