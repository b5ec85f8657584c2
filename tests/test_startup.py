import subprocess
import sys

import pytest

PROGRAM = """
import sys
{first}
from src.startup import import_torchmetrics
import_torchmetrics()
assert "torchmetrics" in sys.modules
print("scipy.signal" in sys.modules)
import scipy.signal
print(len(scipy.signal.windows.hamming(8)), scipy.signal.hamming is None if hasattr(scipy.signal, "hamming") else False)
"""


@pytest.mark.parametrize(("first", "loaded"), [("", "False"), ("import scipy.signal", "True")])
def test_torchmetrics_comes_without_scipys_signals_which_work_as_ever_afterwards(first: str, loaded: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [loaded, "8 False"]
