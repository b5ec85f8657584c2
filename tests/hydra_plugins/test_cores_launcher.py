import os
import re
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from omegaconf import OmegaConf

from hydra_plugins.cores_launcher.cores_launcher import CoresLauncher, longest_first, shares
from tests.commands import SHORT, files, results

# Hydra's tests let a job change into its folder, which version_base="1.1" does and warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")


def test_hydra_finds_the_launcher() -> None:
    names = [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]
    assert "CoresLauncher" in names


@pytest.mark.usefixtures("default_version_base")
@pytest.mark.parametrize("launcher_name, overrides", [("cores", ["hydra.launcher.workers=2"])])  # noqa: PT006
class TestHydrasLauncherSuite(LauncherTestSuite):
    """Hydra's own tests of a launcher."""


@pytest.mark.usefixtures("default_version_base")
@pytest.mark.parametrize(
    "task_launcher_cfg, extra_flags",  # noqa: PT006
    [({"defaults": [{"override hydra/launcher": "cores"}]}, ["-m", "hydra.launcher.workers=2"])],
)
class TestHydrasIntegrationSuite(IntegrationTestSuite):
    """Hydra's own tests of a launcher in a small application."""


@pytest.mark.parametrize("jobs", range(1, 10))
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_the_last_jobs_share_all_cores_and_no_more(jobs: int, workers: int) -> None:
    shared = shares(jobs, workers)
    assert len(shared) == jobs
    rounds = jobs // workers * workers
    assert shared[:rounds] == [1] * rounds
    left = shared[rounds:]
    assert sum(left) <= workers
    assert not left or sum(left) + len(left) > workers


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        ([["classes=2"], ["classes=10"], ["classes=4"]], [1, 2, 0]),
        (
            [
                ["trainer.max_epochs=5", "data.samples_per_class=90"],
                ["data.samples_per_class=400"],
                ["trainer.max_epochs=50"],
            ],
            [1, 2, 0],
        ),
        ([["seed=[0,1]"], ["seed=7"], ["seeds.data=[0,1]", "seeds.init=[3,4]"], ["seed=[0,1,2]"]], [2, 3, 0, 1]),
        ([["loss=mse"], ["loss=ce"], ["model=linear"]], [0, 1, 2]),
        ([["classes=a"], ["+classes=3"], ["~seed"], ["data=xor"]], [1, 2, 3, 0]),
    ],
)
def test_jobs_start_by_their_networks_points_classes_and_epochs(jobs: list[list[str]], order: list[int]) -> None:
    config = OmegaConf.create(
        {"classes": 2, "seed": 0, "data": {"samples_per_class": 80}, "trainer": {"max_epochs": 20}}
    )
    assert longest_first(config, jobs) == order
    assert longest_first(OmegaConf.create({}), [["x=1"], ["x=2"]]) == [0, 1]


def test_as_many_workers_as_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 4})
    assert CoresLauncher().workers == 3
    assert CoresLauncher(7).workers == 7


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, "two"])
def test_a_bad_number_of_workers_is_named(bad: Any) -> None:
    with pytest.raises(CompactHydraException, match=rf"`hydra.launcher.workers` .* integer of at least 1, got {bad}"):
        _ = CoresLauncher(bad).workers


def contents(folder: Path) -> dict[str, Any]:
    """Return what all runs below a folder hold, but for the times."""
    found: dict[str, Any] = {
        name: folder.joinpath(name).read_bytes()
        for name in sorted(files(folder))
        if name.endswith((".csv", ".ckpt", ".png"))
    }
    for key, content in results(folder).items():
        found[str(key)] = {name: value for name, value in content.items() if name != "seconds"}
    return found


def test_a_sweep_leaves_the_same_files_whatever_the_number_of_workers(train: Any, tmp_path: Path) -> None:
    words = [
        "--multirun",
        "loss=mse,ce,ce_softmax",
        "seed=range(16)",
        "trainer.max_epochs=2",
        "data.samples_per_class=10",
    ]
    for study, workers in (("one", 1), ("two", 2), ("four", 4)):  # four: a condition's seeds are shared, too
        train(*words, f"study={study}", f"hydra.launcher.workers={workers}")
        for path in (tmp_path / "outputs" / study).glob("*/*/results.json"):
            path.write_text(path.read_text().replace(f'"{study}"', '"study"').replace(f"study={study}", "study"))
    one, two, four = (contents(tmp_path / "outputs" / study) for study in ("one", "two", "four"))
    assert len(one) == 3 * (16 * 5 + 2)  # a few files a seed, and two figures a condition
    assert one == two == four


def test_the_longest_jobs_start_first_and_failures_keep_their_job(train: Any, tmp_path: Path) -> None:
    grids = 'hydra.sweeper.grids=["classes=2 optimizer.lr=1e20","classes=3","classes=5"]'
    done = train("--multirun", grids, "study=s", "hydra.launcher.workers=2", *SHORT, code=1)
    starts = {
        OmegaConf.load(path).classes: path.stat().st_mtime_ns
        for path in (tmp_path / "outputs" / "s").glob("*/.hydra/config.yaml")
    }
    assert max(starts, key=starts.__getitem__) == 2
    assert re.findall(r"^Job .*classes=\d", done.err, re.MULTILINE) == ["Job 0: 1 of 1 seeds of loss=ce,classes=2"]
    assert {content["classes"]: content["status"] for content in results(tmp_path / "outputs" / "s").values()} == {
        2: "failed",
        3: "completed",
        5: "completed",
    }


def test_a_bad_number_of_workers_ends_the_sweep_before_it_writes(train: Any, tmp_path: Path) -> None:
    done = train("--multirun", "loss=mse,ce", "hydra.launcher.workers=0", *SHORT, code=1)
    assert "Expected `hydra.launcher.workers` to be null or an integer of at least 1, got 0." in done.err
    assert files(tmp_path) == set()
