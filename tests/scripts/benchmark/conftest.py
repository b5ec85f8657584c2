import json
from collections.abc import Sequence

import pytest

from scripts.benchmark import command, growth, whole
from scripts.benchmark.command import Finished
from tests.scripts.benchmark.made_up import START_UP, TRAINING


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, ...]]]:
    """Make up what each command would take on two cores, and keep what was run at the same time."""
    ran: list[list[tuple[str, ...]]] = []

    def run_condition(module: str, *words: str) -> Finished:
        if module == "scripts.benchmark.lecture_loop":
            networks = [TRAINING[words[0], words[1]]] * int(words[words.index("--seeds") + 1])
            return Finished(START_UP + sum(networks), 10**8, json.dumps({"seconds": networks}))
        seconds = 40.0 if "--multirun" in words else 8.0
        return Finished(seconds, 7 * 10**8, "")

    def together(commands: Sequence[Sequence[str]]) -> list[Finished]:
        ran.append([tuple(each) for each in commands])
        return [run_condition(*each) for each in commands]

    for module in (command, whole):
        monkeypatch.setattr(module, "run_together", together)
    for module in (whole, growth):
        monkeypatch.setattr(module, "run", lambda *words: together([words])[0])
    monkeypatch.setattr(whole, "available_cpus", lambda: 2)
    return ran
