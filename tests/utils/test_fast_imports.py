import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.utils.fast_imports import SWITCH, TRIED, are_tried_versions
from tests.commands import CONSOLE

PROGRAM = """
import gc
import sys
from pathlib import Path
{first}
from src.utils.fast_imports import import_lightning
import_lightning()
assert {{"torchmetrics", "lightning"}} <= set(sys.modules)
assert gc.isenabled() and gc.get_freeze_count() > 0
import torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([weight], fused=True)
optimizer.load_state_dict(optimizer.state_dict())
optimizer.zero_grad()
print(*[name in sys.modules for name in ("scipy.signal", "torch._dynamo")])
import scipy.signal
print(len(scipy.signal.windows.hamming(8)), getattr(scipy.signal, "hamming", len) is None)
doubled = torch.compile(lambda x: 2 * x, backend="eager")
print(doubled(weight).tolist(), "torch._dynamo.eval_frame" in sys.modules)
weight.sum().backward()
optimizer.step()
print(bool((weight < 1).all()))
"""
needs_tried_versions = pytest.mark.skipif(
    not are_tried_versions(), reason="the installed versions are imported plainly"
)


@pytest.mark.integration
@needs_tried_versions
@pytest.mark.parametrize(
    ("first", "loaded"), [("", "False False"), ("import scipy.signal, torch._dynamo", "True True")]
)
def test_modules_left_out_of_the_import_work_when_imported_later(first: str, loaded: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [loaded, "8 False", "[2.0, 2.0] True", "True"]


def train(folder: Path, switch: str) -> tuple[str, dict[str, bytes]]:
    """Train in a new interpreter; return the modules and objects that the switch decides on, and the files."""
    folder.mkdir()
    program = (
        "import gc, sys, runpy\n"
        "words = 'seed=[0,1] trainer.max_epochs=3 data.samples_per_class=10 figures=none export=none'.split()\n"
        "sys.argv = ['src.train', *words]\n"
        "runpy.run_module('src.train', run_name='__main__')\n"
        "loaded = [name in sys.modules for name in ('lightning', 'sklearn', 'torch._dynamo')]\n"
        "print(*loaded, gc.get_freeze_count() > 0)\n"
    )
    env = os.environ | {SWITCH: switch}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding=CONSOLE, errors="replace", cwd=folder, env=env
    )
    assert done.returncode == 0, done.stderr
    kept = [path for path in folder.rglob("seed=*/*") if path.suffix in (".ckpt", ".csv")]
    return done.stdout.splitlines()[-1], {str(path.relative_to(folder)): path.read_bytes() for path in kept}


@pytest.mark.integration
@needs_tried_versions
def test_training_is_bitwise_that_of_an_unpatched_interpreter(tmp_path: Path) -> None:
    patched, files = train(tmp_path / "patched", "1")
    plain, expected = train(tmp_path / "plain", "0")
    assert (patched, plain) == ("True False False True", "True False True False")
    assert len(files) == 2 * 3  # checkpoint, history and predictions of each seed
    assert files == expected


def test_versions_other_than_those_tried_are_not_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, expected in (("", True), (".0+cpu", True), ("0.1", False), ("x", False)):
        versions = {name: version + (installed if name == "torch" else "") for name, version in TRIED.items()}
        monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
        assert are_tried_versions() is expected


@pytest.mark.integration
def test_a_library_import_leaves_the_garbage_collector_alone() -> None:
    program = "import gc, src.training.module; assert gc.isenabled() and not gc.get_freeze_count()"
    subprocess.run([sys.executable, "-c", program], check=True)
