import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
{first}
from src.utils.fast_imports import import_lightning
import_lightning()
assert {{"torchmetrics", "lightning"}} <= set(sys.modules)
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


@pytest.mark.parametrize(
    ("first", "loaded"), [("", "False False"), ("import scipy.signal, torch._dynamo", "True True")]
)
def test_lightning_is_imported_without_its_slow_parts(first: str, loaded: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [loaded, "8 False", "[2.0, 2.0] True", "True"]


def test_a_run_never_imports_torchs_compiler(tmp_path: Path) -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['src.train', 'trainer.max_epochs=1', 'data.samples_per_class=10']\n"
        "runpy.run_module('src.train', run_name='__main__')\n"
        "assert 'lightning' in sys.modules\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
