"""The process in which a backend trains, synchronized with the process that measures it."""

import importlib
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Assignment:
    """The assignment of one worker."""

    module: str  # the backend's module in `scripts.benchmark.backends`
    seeds: tuple[int, ...]  # the networks to train
    segments: tuple[int, ...]  # epochs of each segment, of which the first is not measured
    threads: int | None = None  # threads of a tensor operation; None for the library's own choice
    core: int | None = None  # the core to stay on, or None
    chunk: int | None = None  # maximum number of networks in one batched computation, or None
    overrides: tuple[str, ...] = ()  # overrides of losslab's settings


def run(assignment: Assignment, measurer: Connection) -> None:
    """Train, report the end of every segment and wait for a message before the next one; report the losses at the end.

    Every report is a list: empty, or the final losses (S,), or the error as text.
    """
    try:
        losses = _train(assignment, measurer)
    except Exception as error:  # whatever a library raises is reported by the other process
        measurer.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    else:
        measurer.send(losses)


def _train(assignment: Assignment, measurer: Connection) -> list[float]:
    if assignment.core is not None:
        os.sched_setaffinity(0, {assignment.core})
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    if assignment.threads is not None:
        os.environ |= dict.fromkeys(THREADS, str(assignment.threads))  # read when the libraries are imported
    work = importlib.import_module("scripts.benchmark.backends.work")
    task = work.work(assignment.seeds, assignment.segments, assignment.chunk, assignment.overrides)
    x, target = task.x, task.target

    def pause() -> None:
        measurer.send([])
        measurer.recv()

    layers = importlib.import_module(f"scripts.benchmark.backends.{assignment.module}").train(task, pause)
    trained = len(layers[0][0])
    return [float(loss) for loss in work.cross_entropy(layers, x[:trained], target[:trained])]
