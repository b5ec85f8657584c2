"""The roofline of this machine: the floating-point operations and bytes per second that all cores can do at most."""

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from scripts.benchmark.command import BenchmarkError
from src.engines.native.compile import tuning
from src.parallel.cpu import available_cpus

SOURCE = Path(__file__).with_name("roofline.c")
STEPS = 10**6  # multiply-adds in each register: some milliseconds, in which few other programs get a core
FLOATS = 2**24  # of an array, which is larger than a cache
ROUNDS = 30
BYTES_PER_PARAMETER = 24  # a step of Adam reads and writes the value and two moments, in single precision


def measure() -> dict[str, float] | None:
    """Return the operations and bytes per second of all cores together, or None without a C compiler.

    Raises:
        BenchmarkError: If the compiler fails.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="losslab-") as scratch:
        path = Path(scratch) / "roofline.so"
        command = [compiler, "-O3", "-shared", "-fPIC", *tuning(), str(SOURCE), "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkError(f"{SOURCE.name} cannot be compiled: {done.stderr.partition(os.linesep)[0]}")
        library = ctypes.CDLL(str(path))
    library.multiply_add.argtypes = [ctypes.c_long, ctypes.c_void_p]
    library.add_scaled.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_void_p, ctypes.c_void_p]
    library.multiply_add.restype = library.add_scaled.restype = ctypes.c_double
    cores = available_cpus()
    arrays = [(np.ones(FLOATS, np.float32), np.ones(FLOATS, np.float32)) for _ in range(cores)]

    def operations(core: int) -> float:
        start = np.array([0.999, 0.001], np.float32)
        return float(library.multiply_add(STEPS, start.ctypes.data))

    def moved(core: int) -> float:
        x, y = arrays[core]
        return float(library.add_scaled(FLOATS, 0.5, x.ctypes.data, y.ctypes.data))

    return {"operations": _rate(operations, cores), "bytes": _rate(moved, cores)}


def _rate(work: Callable[[int], float], cores: int) -> float:
    """Return how much work per second all cores do in the best of some rounds; C code runs beside other threads."""

    def rate(core: int) -> float:
        started = time.perf_counter()
        return work(core) / (time.perf_counter() - started)

    with ThreadPoolExecutor(cores) as pool:
        return max(sum(pool.map(rate, range(cores))) for _ in range(ROUNDS))


def floor(roofline: dict[str, float], widths: list[int], batch_size: int) -> float:
    """Return the least microseconds of a step of one network on all cores.

    A step has three products of a layer's weights and a mini-batch, and two for the first layer. That every step moves
    all parameters to and from memory is no bound for a program that keeps networks in a cache, so the larger of both
    times is a floor for those alone that take a step of every network before the next.

    Example:
        >>> floor({"operations": 1e9, "bytes": 1e9}, [10, 10], 100)  # 2 products of 10 x 10 x 100, of 2 operations
        40.0
    """
    layers = list(pairwise(widths))
    products = [(3 if index else 2) * inputs * outputs for index, (inputs, outputs) in enumerate(layers)]
    parameters = sum((inputs + 1) * outputs for inputs, outputs in layers)
    arithmetic = 2 * batch_size * sum(products) / roofline["operations"]
    return 1e6 * max(arithmetic, BYTES_PER_PARAMETER * parameters / roofline["bytes"])
