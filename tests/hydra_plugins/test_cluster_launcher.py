import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hydra import initialize
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from hydra_plugins.cluster_launcher._job import Job
from hydra_plugins.cluster_launcher._launcher import ClusterLauncher
from hydra_plugins.cluster_launcher.slurm_launcher import SlurmLauncher
from tests.commands import files, is_running, posix, results, started, wait_until

ROOT = Path(__file__).parents[2]
HOME = "hydra_plugins.cluster_launcher"
PACKAGES = {"joblib": "joblib", "slurm": "submitit", "ray": "ray"}
NEEDS = {
    name: pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"the extra {name} is not installed")
    for name, package in PACKAGES.items()
}
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "slurm": ("hydra/launcher=slurm", "hydra.launcher.cluster=local"),
    "ray": ("hydra/launcher=ray", "hydra.launcher.remote.num_cpus=2"),  # both: one job at a time, in one process
}
ENGINES = {  # the same for an application that does not have our configuration
    "joblib": (f"hydra.launcher._target_={HOME}.joblib_launcher.JoblibLauncher", "+hydra.launcher.n_jobs=2"),
    "slurm": (
        f"hydra.launcher._target_={HOME}.slurm_launcher.SlurmLauncher",
        "+hydra.launcher.cluster=local",
        "+hydra.launcher.folder=submitit",
        "+hydra.launcher.parameters={}",
    ),
    "ray": (
        f"hydra.launcher._target_={HOME}.ray_launcher.RayLauncher",
        "+hydra.launcher._convert_=all",
        "+hydra.launcher.init={include_dashboard: false, num_cpus: 2}",
        "+hydra.launcher.remote={num_gpus: 1, max_retries: 0}",
    ),
}
EACH = [pytest.param(name, marks=[NEEDS[name], pytest.mark.integration]) for name in LAUNCHERS]


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> str:
    """The name of a launcher; what it needs is there."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """A cluster of two cores, and of two GPUs as far as Ray knows."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # or Ray would write a token into the home of whoever runs the tests
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hydra_restore_singletons: None
) -> Callable[..., list[JobReturn]]:
    """Launch a small task function with an engine, as two jobs, of bar=0 and bar=1."""
    monkeypatch.chdir(tmp_path)

    def launched(engine: str | Launcher, task: Callable[[DictConfig], Any]) -> list[JobReturn]:
        with initialize(None, version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            words = [*ENGINES.get(str(engine), ()), "hydra.job.name=test"]
            config = hydra.compose_config(None, words, RunMode.MULTIRUN, with_log_configuration=False)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
            if isinstance(engine, Launcher):
                launcher = engine
                launcher.setup(hydra_context=context, task_function=task, config=config)
            else:
                launcher = Plugins.instance().instantiate_launcher(context, task, config)
            return list(launcher.launch([["+bar=0"], ["+bar=1"]], initial_job_idx=0))

    return launched


class InProcess(ClusterLauncher):
    """Runs each job in this process as another one would: from bytes, in another folder, with other singletons."""

    package = extra = "hydra"

    def __init__(self, elsewhere: Path, lost: Sequence[int] = ()) -> None:
        self.elsewhere = elsewhere
        self.lost = lost
        self.calls: list[str] = []

    def __str__(self) -> str:
        return "in process"

    def check(self) -> None:
        self.calls.append("check")

    def submit(self, jobs: Sequence[Job]) -> Sequence[bytes]:
        self.calls.append("submit")
        return [cloudpickle.dumps(job) for job in jobs]

    def wait(self, handle: bytes) -> JobReturn | str:
        job = cloudpickle.loads(handle)
        if job.num in self.lost:
            return "out of memory"
        here = Singleton.get_state()
        os.chdir(self.elsewhere)
        try:
            result: JobReturn = job()
            return result
        finally:
            Singleton.set_state(here)

    def stop(self, handles: Sequence[bytes]) -> None:
        self.calls.append(f"stop {len(handles)}")


def _describe(config: DictConfig) -> tuple[int, str, str]:
    if config.bar == 0:
        raise SystemExit("Expected `bar` to be 1.")
    return HydraConfig.get().job.num, os.environ["OMP_NUM_THREADS"], str(Path.cwd())


def test_jobs_travel_by_value_and_return_their_results_in_order(
    launch: Callable[..., list[JobReturn]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.delenv("OMP_NUM_THREADS")
    launcher = InProcess(tmp_path.parent)
    stopped, ran = launch(launcher, _describe)
    assert (stopped.status, str(stopped._return_value)) == (JobStatus.FAILED, "Expected `bar` to be 1.")
    assert (ran.status, ran.return_value) == (JobStatus.COMPLETED, (1, "1", str(tmp_path)))
    assert launcher.calls == ["check", "submit", "stop 2"]


def test_a_lost_process_is_a_failed_job_and_the_others_go_on(
    launch: Callable[..., list[JobReturn]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lost, ran = launch(InProcess(tmp_path, lost=[0]), _describe)
    assert lost.status == JobStatus.FAILED
    assert str(lost._return_value) == "its process was lost, finished seeds are kept: out of memory"
    assert ran.status == JobStatus.COMPLETED


def test_an_interrupt_stops_the_jobs(launch: Callable[..., list[JobReturn]], tmp_path: Path) -> None:
    class Interrupted(InProcess):
        def wait(self, handle: bytes) -> JobReturn | str:
            raise KeyboardInterrupt

    launcher = Interrupted(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        launch(launcher, _describe)
    assert launcher.calls == ["check", "submit", "stop 2"]


def content(folder: Path) -> dict[str, Any]:
    """Return all files of all seeds below a folder without what depends on the time."""
    return {str(path.relative_to(folder)): _timeless(path) for path in folder.glob("*/seed=*/**/*") if path.is_file()}


def _timeless(path: Path) -> Any:
    if path.name == "results.json":
        return json.loads(path.read_text(encoding="utf-8")) | {
            "seconds": None,
            "versions": None,
        }  # which name the last commit
    if path.name.startswith("events"):
        values = [value for event in EventFileLoader(str(path)).Load() for value in event.summary.value]
        return [(value.tag, value.tensor.SerializeToString()) for value in values]
    return path.read_bytes()


@pytest.mark.parametrize("cluster", EACH, indirect=True)
def test_a_killed_worker_loses_its_unfinished_seeds_alone(
    cluster: str, train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves, and a rerun in this process adds, is what this process alone leaves, whatever the launcher."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    parts, ready = (1, {0}) if cluster == "joblib" else (2, {0, 1, 2})  # joblib would end the other process too
    sweep = ("--multirun", "loss=ce", "seed=range(4)", f"hydra.sweeper.stack_size={4 // parts}", "study=s")
    sweep += ("trainer.max_epochs=2", "data.samples_per_class=10", "export=tensorboard", "allow_targets=[tests]")
    train(*sweep, "hydra/launcher=basic")
    (tmp_path / "outputs").rename(tmp_path / "serial")
    callback = tmp_path / "conf" / "hydra" / "callbacks" / "die.yaml"
    callback.parent.mkdir(parents=True)
    callback.write_text(f"die:\n  _target_: tests.hydra_plugins.dying.DieAfterOneSeed\n  num: {parts - 1}\n")
    dying = (f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "hydra/callbacks=die")
    ended = train(*sweep, *LAUNCHERS[cluster], *dying, code=1)
    finished = results(tmp_path / "outputs")
    assert {seed for _, seed in finished} == ready, ended.err
    assert f"1 of {parts} jobs failed:\nJob {parts - 1}: its process was lost, finished seeds are kept: " in ended.err
    assert "Traceback" not in ended.err
    again = train(*sweep, "hydra/launcher=basic")
    assert ("1 of 4 seeds" if parts == 1 else "1 of 2 seeds") + " are finished and kept" in again.out
    after = results(tmp_path / "outputs")
    assert all(after[member]["seconds"] == finished[member]["seconds"] for member in finished)
    serial, study = content(tmp_path / "serial" / "s"), content(tmp_path / "outputs" / "s")
    assert study.keys() == serial.keys()
    assert [name for name in serial if serial[name] != study[name]] == []


@pytest.mark.integration
def test_parts_of_a_condition_keep_a_configuration_and_a_log_each(tmp_path: Path, train: Callable[..., Any]) -> None:
    short = ("trainer.max_epochs=1", "data.samples_per_class=10", "figures=none", "export=none", "hydra/launcher=basic")
    train("--multirun", "seed=range(3)", "seeds.init=7", "hydra.sweeper.stack_size=2", *short)
    [folder] = tmp_path.glob("outputs/runs/loss=*")
    own = {name for name in files(folder) if not name.startswith("seed=")} - {".lock"}
    parts = ("seed=0-1,seeds.init=7", "seed=2,seeds.init=7")
    kinds = ("config", "hydra", "overrides")
    assert own == {f".hydra/{part}/{kind}.yaml" for part in parts for kind in kinds} | {
        f"train,{part}.log" for part in parts
    }
    assert "- seed=[0,1]" in (folder / ".hydra" / parts[0] / "overrides.yaml").read_text()
    train("--multirun", "seed=range(3)", "hydra.sweeper.stack_size=3", "study=whole", *short)
    [folder] = tmp_path.glob("outputs/whole/loss=*")
    assert (folder / ".hydra/config.yaml").is_file()
    assert (folder / "train.log").is_file()


@pytest.mark.parametrize("cluster", EACH, indirect=True)
def test_jobs_have_one_thread_the_launch_folder_and_return_their_error(
    cluster: str, launch: Callable[..., list[JobReturn]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def task(config: DictConfig) -> tuple[str, str, bool]:
        if config.bar == 0:
            raise SystemExit("Expected `bar` to be 1.")
        return os.environ["OMP_NUM_THREADS"], str(Path.cwd()), os.getpid() == here

    here = os.getpid()
    stopped, ran = launch(cluster, task)
    assert (stopped.status, str(stopped._return_value)) == (JobStatus.FAILED, "Expected `bar` to be 1.")
    assert (ran.status, ran.return_value) == (JobStatus.COMPLETED, ("1", str(tmp_path), False))


@posix
@pytest.mark.integration
@NEEDS["joblib"]
def test_joblib_loses_all_processes_with_one_and_says_so(launch: Callable[..., list[JobReturn]]) -> None:
    def task(config: DictConfig) -> None:
        assert os.getpid() != here  # which would end pytest
        if config.bar == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)

    here = os.getpid()

    lost = launch("joblib", task)
    assert [job.status for job in lost] == [JobStatus.FAILED] * 2
    assert "TerminatedWorkerError: A worker process managed by the executor" in str(lost[0]._return_value)
    assert "joblib has ended all of its processes" in str(lost[1]._return_value)


@pytest.mark.integration
@NEEDS["ray"]
@pytest.mark.usefixtures("ray_cluster")
def test_ray_gives_each_job_a_device_of_its_own(launch: Callable[..., list[JobReturn]], tmp_path: Path) -> None:
    def task(config: DictConfig) -> str:
        (tmp_path / f"running {config.bar}").touch()
        wait_until(lambda: len(list(tmp_path.glob("running *"))) == 2)  # both at once
        return os.environ["CUDA_VISIBLE_DEVICES"]

    assert {job.return_value for job in launch("ray", task)} == {"0", "1"}


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which a fake SLURM keeps the submitted script."""
    script = tmp_path / "script.sh"
    commands = {"sbatch": f'cp "$1" "{script}"\necho Submitted batch job 42', "srun": "", "sacct": ""}
    (tmp_path / "bin").mkdir()
    for name, body in commands.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/sh\n{body}\n")
        command.chmod(command.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return script


@NEEDS["slurm"]
def test_slurm_is_asked_for_a_device_a_job(submitted: Path, tmp_path: Path) -> None:
    parameters = {"gpus_per_node": 1, "cpus_per_task": 1, "slurm_partition": "gpu", "slurm_array_parallelism": 1}
    launcher = SlurmLauncher("slurm", str(tmp_path / "submitit"), {**parameters, "slurm_account": None})
    launcher.check()
    assert len(launcher.submit([lambda: None, lambda: None])) == 2  # type: ignore[list-item]
    options = {
        line.removeprefix("#SBATCH --")
        for line in submitted.read_text(encoding="utf-8").splitlines()
        if "#SBATCH" in line
    }
    assert {"gpus-per-node=1", "cpus-per-task=1", "partition=gpu", "array=0-1%1"} <= options
    assert not [option for option in options if "account" in option]


@pytest.mark.parametrize(("launcher", "package"), PACKAGES.items())
def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    launcher: str, package: str, train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more))
    error = train("--multirun", "seed=0,1", f"hydra/launcher={launcher}", code=1).err
    needs = f"got {launcher}, which needs the package {package}: pip install -e '.[{launcher}]'"
    assert error.splitlines()[0].endswith(needs)
    assert not files(tmp_path)


SLEEPER = """
import os, pathlib, time
import hydra


@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pathlib.Path(f"pid {os.getpid()}").touch()
    time.sleep(100)


main()
"""


@posix
@pytest.mark.parametrize("name", EACH[:2])  # Ray ends its tasks by itself
def test_an_interrupt_ends_the_workers(name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SLEEPER)
    command = [sys.executable, "app.py", "--multirun", *ENGINES[name], "+bar=0,1"]
    with started(command, tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: len(list(tmp_path.glob("pid *"))) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) != 0
    pids = [path.name.removeprefix("pid ") for path in tmp_path.glob("pid *")]
    wait_until(lambda: not any(map(is_running, pids)))
