"""The worker processes in which one peer trains, in step with the process that measures."""

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.peers.worker import Order, run


class Team:
    """Some workers that train parts of the same work at the same time.

    ``with`` starts all of them at the same time, and its body begins when each has trained its first stretch and waits.

    Args:
        name: The peer, for messages.
        orders: The work of each worker; all with equal stretches.
    """

    def __init__(self, name: str, orders: Sequence[Order]) -> None:
        self.name = name
        self.orders = orders
        self.members: list[_Member] = []

    def __enter__(self) -> "Team":
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit the threads of what is imported here
        with ExitStack() as on_failure:
            on_failure.callback(self._stop)
            for order in self.orders:
                mine, theirs = spawn.Pipe()
                process = spawn.Process(target=run, args=(order, theirs), daemon=True)
                process.start()
                theirs.close()
                self.members.append(_Member(process, mine))
            self._reports()
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def stretch(self) -> float:
        """Let all workers train their next stretch and return the seconds until the last has done so."""
        started = time.perf_counter()
        self._go_on()
        self._reports()
        return time.perf_counter() - started

    def losses(self) -> list[float]:
        """Return the final losses of all networks, once all stretches are trained."""
        self._go_on()
        return [loss for losses in self._reports() for loss in losses]

    def _go_on(self) -> None:
        for member in self.members:
            with suppress(BrokenPipeError):  # of one that died, which the wait for its report finds
                member.pipe.send(None)

    def _reports(self) -> list[list[float]]:
        reports: list[Any] = []
        for member in self.members:
            try:
                reports.append(member.pipe.recv())
            except EOFError:
                member.process.join()
                raise BenchmarkError(f"the peer {self.name} ended with code {member.process.exitcode}") from None
        for report in reports:
            if isinstance(report, str):
                raise BenchmarkError(f"the peer {self.name} failed: {report}")
        return reports

    def _stop(self) -> None:
        for member in self.members:
            member.pipe.close()
            member.process.terminate()
            member.process.join()


@dataclass(frozen=True)
class _Member:
    process: Any
    pipe: Connection
