import os
import re
import shutil
from pathlib import Path
from typing import Any

import hydra.core.utils
import pytest
from hydra.errors import CompactHydraException
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from omegaconf import OmegaConf

from hydra_plugins.cores_launcher.cores_launcher import CoresLauncher
from src.analysis.collect import collect
from src.storage.manifest import read_manifests
from tests.commands import SHORT, files, parametrize, results

# Hydra's tests let a job change into its folder, which version_base="1.1" does and warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")


@pytest.mark.integration
@pytest.mark.usefixtures("hydras_own")
@pytest.mark.parametrize("launcher_name, overrides", [("cores", ["hydra.launcher.workers=2"])])  # noqa: PT006
class TestHydrasLauncherSuite(LauncherTestSuite):
    """Hydra's own tests of a launcher."""


@pytest.mark.integration
@pytest.mark.usefixtures("hydras_own")
@pytest.mark.parametrize(
    "task_launcher_cfg, extra_flags",  # noqa: PT006
    [({"defaults": [{"override hydra/launcher": "cores"}]}, ["-m", "hydra.launcher.workers=2"])],
)
class TestHydrasIntegrationSuite(IntegrationTestSuite):
    """Hydra's own tests of a launcher in a small application."""


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


@pytest.mark.integration
def test_a_sweep_leaves_the_same_files_whatever_the_number_of_workers(train: Any, tmp_path: Path) -> None:
    words = ["--multirun", "loss=mse,ce,ce_softmax", "seed=range(16)", *SHORT[:2]]
    for study, workers in (("one", 1), ("two", 2), ("six", 6)):  # two: one condition is cut; six: all
        train(*words, f"study={study}", f"hydra.launcher.workers={workers}")
        for path in (tmp_path / "outputs" / study).glob("*/*/results.json"):
            path.write_text(path.read_text().replace(f'"{study}"', '"study"').replace(f"study={study}", "study"))
    one, two, six = (contents(tmp_path / "outputs" / study) for study in ("one", "two", "six"))
    assert len(one) == 3 * (16 * 5 + 2)  # a few files a seed, and two figures a condition
    assert one == two == six


@pytest.mark.integration
def test_a_condition_that_two_jobs_train_has_one_table_and_first_figures(train: Any, tmp_path: Path) -> None:
    words = ("--multirun", "seed=range(16)", "hydra.launcher.workers=2", *SHORT[:2])
    done = train(*words)
    assert len(list(tmp_path.glob("outputs/runs/*/.hydra/seed=*/config.yaml"))) == 2
    assert done.out.count("Bayes accuracy") == done.out.count("16 seeds") == done.out.count("files: ") == 1
    assert {path.parent.parent.name for path in tmp_path.rglob("*.png")} == {"seed=0"}
    assert {content["config"]["figures"] for content in results(tmp_path).values()} == {"first"}


@pytest.mark.integration
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


@parametrize("workers", [2, 1], quick=1)
def test_a_disk_that_fills_ends_with_the_failed_jobs_and_their_reruns(
    workers: int, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = hydra.core.utils._save_config

    def full(config: Any, filename: str, output_dir: Path) -> None:
        if "loss=mse" in str(output_dir):
            raise OSError(28, "No space left on device", str(output_dir / filename))
        save(config, filename, output_dir)

    monkeypatch.setattr(hydra.core.utils, "_save_config", full)
    done = train("--multirun", "loss=mse,ce", f"hydra.launcher.workers={workers}", *SHORT, code=1)
    assert [content["loss"] for content in results(tmp_path).values()] == ["ce"]
    assert "1 of 2 jobs failed:\nJob 0: " in done.err
    assert "No space left on device" in done.err
    rerun = done.err[done.err.rindex("rerun: ") :]
    assert "loss=mse" in rerun
    monkeypatch.undo()


def test_a_condition_without_a_directory_is_missing_from_its_study(train: Any, tmp_path: Path) -> None:
    train("--multirun", "loss=mse,ce", "seed=range(2)", "study=s", *SHORT)
    study = tmp_path / "outputs" / "s"
    assert [each.seed_folders() for sweep in read_manifests(study) for each in sweep] == [["seed=0", "seed=1"]] * 2
    assert collect([study]).missing == []
    [absent] = study.glob("loss=mse*")
    shutil.rmtree(absent)  # as if its worker had died before it wrote anything
    assert collect([study]).missing == [f"{absent}: seeds 0-1"]
