"""Made-up times of commands, and made-up measurements."""

from collections.abc import Sequence
from typing import Any

from scripts.benchmark import whole

START_UP = 4.0  # seconds of every made-up command
TRAINING = {("mse", "2"): 5.0, ("mse", "4"): 10.0, ("ce", "2"): 6.0, ("ce", "4"): 12.0}  # of one network


def content(ours: Sequence[float] = (11.0, 12.5, 11.5), jax: Sequence[float] = (10.5, 30.0, 12.0)) -> dict[str, Any]:
    """Return measurements of everything; the engine's costs can be given."""
    context = {"quick": False, "cores": 2, "others": 0.01, "when": "2026-01-02 03:04", "commit": "abc", "torch": "2.13"}
    context |= {"processor": "A, B", "capability": "AVX2"}
    forms = {
        "loop, one process": [600.0, 660.0, 630.0],
        "jax, one process per core": list(jax),
        "losslab, one process": [20.0, 21.0, 22.0],
        "losslab, one process per core": list(ours),
    }
    sizes = {
        size: {form: {"us": us, "networks": 20, "loss": 0.4} for form, us in forms.items()} for size in ("20", "80")
    }
    sizes["1"] = {"loop, one process": {"us": [600.0] * 3, "networks": 1, "loss": 0.4}}
    seconds = {
        "single": {whole.TRAIN: [5.0, 4.0], whole.ONE: [12.0, 10.0]},
        "hw4": {whole.HW4: [20.0, 16.0], whole.ALL: [800.0, 480.0], whole.BOTH: [400.0, 240.0]},
        "seeds": {whole.FEW_SEEDS: [8.0], whole.MANY_SEEDS: [160.0], whole.NO_TRAINING: [17.0]},
        "start": {whole.HELP: [1.0], whole.CFG: [2.5], whole.SMALLEST: [6.5]},
    }
    parts = {
        part: {
            "rounds": len(next(iter(of.values()))),
            "epochs": 499,
            "full": False,
            "seconds": of,
            "memory": {name: [2_000_000_000] for name in of if name.startswith(("src", "loss"))},
            "context": context,
        }
        for part, of in seconds.items()
    }
    axes = {
        "seeds": {"values": [1, 10], "epochs": 10, "seconds": [6.0, 7.0], "memory": [5e8, 6e8], "failure": None},
        "samples": {"values": [100], "epochs": 1, "seconds": [6.5], "memory": [5e8], "failure": "1,000 samples: no"},
    }
    engine = {"plan": {"before": 100, "epochs": 20}, "sizes": sizes, "absent": {"sklearn": "sklearn"}}
    wide = {
        "plan": {"quick": False},
        "sizes": {
            "64 20": {form: value | {"us": [100 * us for us in value["us"]]} for form, value in sizes["20"].items()}
        },
        "absent": {"jax_map": "jax"},
        "roofline": {"operations": 19e10, "bytes": 25e9, "us": {"64": 160.4, "256": 640.0}},
    }
    measured = {"engine": engine | {"context": context}, "wide": wide | {"context": context}}
    return {**measured, **parts, "growth": {"axes": axes, "context": context}}
