"""Models, losses, data, engines, schedulers and optimizers, pair by pair: each is trained and reloaded, or refused."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra.core.singleton import Singleton

from src.config.paths import CONFIG_DIR
from src.experiments import load_run, load_study, run
from src.utils.validation import SettingsError
from tests.commands import files

TABLE = "a,colour,y\n" + "".join(f"{row * 37 % 11},{['red', 'blue'][row % 2]},{'uvw'[row % 3]}\n" for row in range(60))
ARFF = "@relation r\n@attribute a numeric\n@attribute class {u,v}\n@data\n" + "".join(
    f"{row * 37 % 11},{'uv'[row % 2]}\n" for row in range(40)
)
SMALL = {
    "noisy_cubic": ["data.samples_per_class=8"],
    "gaussians": ["data.samples=40"],
    "xor": ["data.samples_per_corner=8"],
    "csv": ["data.path=table.csv", "data.target=y", "data.labels=[u,v,w]"],
    "openml_file": ["data.path=table.arff"],
    "digits": ["data.batch_size=800"],
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


FACTORS = {
    **{group: choices(group) for group in ("model", "loss", "data", "scheduler", "optimizer")},
    "engine": ["auto", "native", "torch"],
    "classes": ["2", "3"],  # of the data that have none of their own
}
Case = dict[str, str]


def pairwise(factors: dict[str, list[str]], draw: random.Random) -> Iterator[Case]:
    """Yield cases until each pair of choices of two factors is in one; each takes the most pairs of some drawn ones."""
    names = list(factors)
    missing = {
        ((one, first), (other, second))
        for one, other in itertools.combinations(names, 2)
        for first in factors[one]
        for second in factors[other]
    }
    while missing:
        drawn = []
        for pair in draw.choices(sorted(missing), k=30):
            case = {name: draw.choice(values) for name, values in factors.items()} | dict(pair)
            drawn.append(case)
        best = max(drawn, key=lambda case: len(pairs(case, names) & missing))
        missing -= pairs(best, names)
        yield best


def pairs(case: Case, names: list[str]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return {((one, case[one]), (other, case[other])) for one, other in itertools.combinations(names, 2)}


# A model in closed form fits one loss, data of two features and no scheduler, which may meet in no case.
CLOSED_FORM = {"model": "gaussian", "loss": "none", "data": "xor", "scheduler": "none"}
CASES = [*pairwise(FACTORS, random.Random(0)), CLOSED_FORM | {"optimizer": "adam", "engine": "auto", "classes": "2"}]  # noqa: S311 - of tests


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Case], bool]:
    """Return a function that trains two seeds of a case for two epochs and reloads one, or returns False if refused."""
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE)
    Path("table.arff").write_text(ARFF)

    def outcome(case: Case) -> bool:
        before, state = files(tmp_path), Singleton.get_state()
        words = [f"{name}={value}" for name, value in case.items() if name != "classes"]
        words += [f"classes={case['classes']}"] if case["data"] == "noisy_cubic" else []
        seeds = [3, 4]
        words += [*SMALL.get(case["data"], []), "trainer.max_epochs=2", "figures=none", f"seed={seeds}"]
        refused = ""
        try:
            runs = run(*words)
        except SettingsError as error:
            refused = str(error)
        finally:
            Singleton.set_state(state)
        if refused:
            assert all(line.startswith("Expected `") for line in refused.splitlines()), refused
            assert files(tmp_path) == before
            return False
        assert runs["status"].tolist() == ["completed"] * len(seeds), runs.T.to_string()
        loaded = load_run(runs["folder"][0])
        data = loaded.components.datamodule
        decided = loaded.components.objective.decode(loaded.network(data.test.x[0])).tolist()
        names = data.source.class_names
        assert [str(names[label]) for label in decided] == loaded.predictions["pred"].astype(str).tolist()
        assert np.isfinite(list(loaded.metrics.values())).all()
        assert len(load_study(Path(runs["folder"][0]).parents[1])) >= len(seeds)
        return True

    return outcome


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: ",".join(case.values()))
def test_a_combination_trains_and_reloads_or_is_refused(case: Case, attempt: Callable[[Case], bool]) -> None:
    attempt(case)


@pytest.mark.integration
def test_every_pair_trains_or_is_refused_and_each_choice_trains(attempt: Callable[[Case], bool]) -> None:
    trained: set[tuple[str, str]] = set()
    count = 0
    for case in CASES[3:]:
        if attempt(case):
            trained |= set(case.items())
            count += 1
    assert count > len(CASES) / 4
    left = {(name, value) for name, values in FACTORS.items() for value in values} - trained
    assert left <= {("engine", "native")}, left  # which needs a C compiler
