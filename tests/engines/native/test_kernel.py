import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from src.engines.native.compile import SOURCE, tuning
from tests.commands import CONSOLE

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
PROGRAM = Path(__file__).with_name("shapes.c")
FLAGS = ("-O3", "-fno-math-errno", f"-I{SOURCE.parent}")
NEON = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"


def weights(folder: Path, compiler: str, *flags: str, emulator: tuple[str, ...] = ()) -> NDArray[np.floating]:
    """Return the weights that the program prints, compiled with some flags."""
    program = folder / "shapes"
    command = [compiler, *FLAGS, *flags, PROGRAM, "-o", program, "-lm"]
    env = os.environ | {"LC_ALL": "C", "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1"}
    built = subprocess.run(command, env=env, capture_output=True, encoding=CONSOLE, errors="replace")
    if "cannot find" in built.stderr:
        pytest.skip("there are no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([*emulator, program], env=env, capture_output=True, encoding=CONSOLE, errors="replace")
    assert (done.returncode, done.stderr) == (0, "")
    return np.array(done.stdout.split(), dtype=float)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.floating]:
    return weights(tmp_path_factory.mktemp("plain"), "cc")


def assert_close(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Compare weights by their norm, as Adam turns the rounding of a gradient near zero into more."""
    assert np.linalg.norm(found - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.integration
def test_the_kernel_keeps_to_its_memory(expected: NDArray[np.floating], tmp_path: Path) -> None:
    found = weights(tmp_path, "cc", *tuning(), "-fsanitize=address,undefined")
    assert_close(found, expected)


@pytest.mark.skipif(not (shutil.which(NEON) and shutil.which(EMULATOR)), reason=f"needs {NEON} and {EMULATOR}")
def test_on_arm_the_kernel_ends_with_the_same_weights(expected: NDArray[np.floating], tmp_path: Path) -> None:
    found = weights(tmp_path, NEON, "-static", emulator=(EMULATOR,))
    assert_close(found, expected)
