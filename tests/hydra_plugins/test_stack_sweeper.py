import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from hydra.test_utils.test_utils import TSweepRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.stack_sweeper._failures import Failure, rerun_command
from hydra_plugins.stack_sweeper._seeds import stack_seeds
from tests.commands import CONSOLE

# Hydra's tests let a job change into its folder, which version_base="1.1" does and warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory"),
    pytest.mark.usefixtures("default_version_base"),
]

APP = '''
import hydra
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf


def folder(lr):
    """Check the settings, as an application's resolver may do."""
    if lr == 66:
        raise SystemExit("Expected `lr` to be anything but 66.")
    return f"lr={lr}"


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    print("ran", config.lr, config.seed)
    if config.lr == 13:
        raise ValueError("unlucky\\nin two lines")
    if config.lr == 14:
        raise CompactHydraException("lr is 14")
    if config.lr == 15:
        raise KeyboardInterrupt


if __name__ == "__main__":
    OmegaConf.register_new_resolver("folder", folder)
    main()
'''
CONFIG = """
defaults:
  - override hydra/sweeper: stack
  - _self_
lr: 1
seed: 0
hydra:
  sweep:
    dir: out
    subdir: ${folder:${lr}}
  sweeper:
    params: {}
"""


class App:
    """A small application in a folder of its own, run from another one."""

    def __init__(self, folder: Path) -> None:
        self.file, self.config, self.cwd = folder / "app" / "app.py", folder / "app" / "config.yaml", folder / "cwd"
        self.file.parent.mkdir()
        self.cwd.mkdir()
        self.file.write_text(APP)
        self.config.write_text(CONFIG)

    def __call__(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return self.shell(shlex.join([sys.executable, str(self.file), *words]), **env)

    def shell(self, command: str, **env: str) -> "subprocess.CompletedProcess[str]":
        words, env = shlex.split(command), os.environ | env
        return subprocess.run(
            words, cwd=self.cwd, env=env, capture_output=True, encoding=CONSOLE, errors="replace", check=False
        )

    def files(self, name: str = "*") -> list[str]:
        return sorted(str(path.relative_to(self.cwd)) for path in self.cwd.rglob(name))


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def ran(result: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line.removeprefix("ran ") for line in result.stdout.splitlines() if line.startswith("ran ")]


def reruns(result: "subprocess.CompletedProcess[str]") -> list[str]:
    lines = map(str.strip, result.stderr.splitlines())
    return [line.removeprefix("rerun: ") for line in lines if line.startswith("rerun: ")]


def jobs(*words: str, stack_size: int | None = None) -> list[str]:
    """The jobs that the sweeper would launch, each as one line."""
    [sweeper] = [x for x in Plugins.instance().discover(Sweeper) if x.__name__ == "StackSweeper"]
    overrides = OverridesParser.create().parse_overrides(list(words))
    [batch] = sweeper.split_arguments(stack_seeds(overrides, stack_size), None)  # type: ignore[attr-defined]
    return [" ".join(job) for job in batch]


def test_hydra_finds_the_plugin_and_need_not_import_torch(tmp_path: Path) -> None:
    script = """
import sys
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
print(*(x.__module__ for x in Plugins.instance().discover(Sweeper)))
print(*sorted({"torch", "lightning"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding=CONSOLE, errors="replace", check=True)
    found, imported = result.stdout.splitlines()
    assert "hydra_plugins.stack_sweeper.stack_sweeper" in found.split()
    assert imported == ""


@pytest.mark.integration
@pytest.mark.usefixtures("hydras_own")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", ["hydra/sweeper=stack"])])
class TestLaunching(LauncherTestSuite):
    """Hydra's own tests of launching, under this sweeper."""


@pytest.mark.integration
@pytest.mark.usefixtures("hydras_own")
@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("basic", ["hydra/sweeper=stack", "hydra.sweeper.max_batch_size=2"])]
)
class TestBatches(BatchedSweeperTestSuite):
    """Hydra's own tests of a sweeper with batches."""


@pytest.mark.integration
@pytest.mark.usefixtures("hydras_own")
@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/sweeper=stack"])])
class TestIntegration(IntegrationTestSuite):
    """Hydra's own tests of whole applications, under this sweeper."""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=range(4)"], ["seed=[0,1,2,3]"]),
        (["seed=range(0,10,3)"], ["seed=[0,3,6,9]"]),
        (["seed=1,2,5"], ["seed=[1,2,5]"]),
        (["seed=choice(7)"], ["seed=[7]"]),
        (["seed=sort(3,1,2)"], ["seed=[1,2,3]"]),
        (["seed=sort(range(3),reverse=true)"], ["seed=[2,1,0]"]),
        (["seed=tag(a,range(2))"], ["seed=[0,1]"]),
        (["+seed=1,2"], ["+seed=[1,2]"]),
        (["++seed=1,2"], ["++seed=[1,2]"]),
        (["seed=3"], ["seed=3"]),
        (["seed=[1,2,5]"], ["seed=[1,2,5]"]),
        (["seed=[0,1],[2,3]"], ["seed=[0,1]", "seed=[2,3]"]),
        (["seed=[0,1],2"], ["seed=[0,1]", "seed=2"]),
        (["seed=1,1"], ["seed=[1,1]"]),
        (["seed=a,0.5,null,-1"], ["seed=[a,0.5,null,-1]"]),
        (["seed='1,2',3"], ["seed=['1,2',3]"]),
        (["seed=range(0)"], ["seed=[]"]),
        (["seed=1,2", "seed=3"], ["seed=3"]),
        (["~seed"], ["~seed=null"]),
        (["seeds.data=1,2"], ["seeds.data=[1,2]"]),
        (["seeds.data=range(2)", "seeds.init=3,4", "seed=5"], ["seeds.data=[0,1] seeds.init=[3,4] seed=5"]),
        (["seeds.other=1,2"], ["seeds.other=1", "seeds.other=2"]),
        (["seed@a=1,2"], ["seed@a=1", "seed@a=2"]),
        (["loss=a,b", "seed=0,1"], ["loss=a seed=[0,1]", "loss=b seed=[0,1]"]),
        (["seed=0,1", "loss=a,b"], ["seed=[0,1] loss=a", "seed=[0,1] loss=b"]),
        (["loss=a,b", "classes=2"], ["loss=a classes=2", "loss=b classes=2"]),
    ],
)
def test_swept_seeds_become_one_value(words: list[str], expected: list[str]) -> None:
    assert jobs(*words) == expected


def test_shuffled_seeds_are_all_there_and_shuffled_once() -> None:
    random.seed(0)
    [job] = jobs("seed=shuffle(range(8))")
    seeds = [int(seed) for seed in job.removeprefix("seed=[").removesuffix("]").split(",")]
    assert sorted(seeds) == list(range(8)) != seeds
    first, second = jobs("loss=a,b", "seed=shuffle(range(8))")
    assert first.removeprefix("loss=a") == second.removeprefix("loss=b")


@pytest.mark.parametrize(
    ("words", "stack_size", "expected"),
    [
        (["seed=range(5)"], 2, ["seed=[0,1]", "seed=[2,3]", "seed=[4]"]),
        (["seed=range(4)"], 2, ["seed=[0,1]", "seed=[2,3]"]),
        (["seed=range(2)"], 1, ["seed=[0]", "seed=[1]"]),
        (["seed=range(2)"], 9, ["seed=[0,1]"]),
        (["seed=[7,8,9]"], 2, ["seed=[7,8]", "seed=[9]"]),
        (["seed=[7,8,9],[1]"], 2, ["seed=[7,8]", "seed=[9]", "seed=[1]"]),
        (["seed=[]"], 2, ["seed=[]"]),
        (["seed=range(0)"], 2, ["seed=[]"]),
        (["seed=3"], 1, ["seed=3"]),
        (["seeds.init=0,1", "seed=0,1,2"], 4, ["seeds.init=[0,1] seed=[0,1]", "seeds.init=[0,1] seed=[2]"]),
        (["seeds.init=0,1,2", "seed=0,1"], 2, [f"seeds.init={y} seed=[{x}]" for y in ("[0,1]", "[2]") for x in (0, 1)]),
        (["seeds.init=0,1", "seed=0,1", "seed=7"], 2, ["seeds.init=[0,1] seed=7"]),
        (["seeds=[1,2]"], 1, ["seeds=[1,2]"]),
        (["loss=a,b", "seed=0,1,2"], 2, [f"loss={x} seed={y}" for x in "ab" for y in ("[0,1]", "[2]")]),
        (["seed=0,1,2", "loss=a,b"], 2, [f"seed={y} loss={x}" for y in ("[0,1]", "[2]") for x in "ab"]),
    ],
)
def test_stack_size_cuts_the_seeds(words: list[str], stack_size: int, expected: list[str]) -> None:
    assert jobs(*words, stack_size=stack_size) == expected


@settings(deadline=None)  # the first example waits for Hydra's scan for plugins
@given(seeds=st.lists(st.integers(0, 2**63), min_size=2), stack_size=st.integers(1, 12), listed=st.booleans())
def test_stacks_hold_all_seeds_in_order(seeds: list[int], stack_size: int, listed: bool) -> None:
    text = ",".join(map(str, seeds))
    stacks = jobs(f"seed=[{text}]" if listed else f"seed={text}", stack_size=stack_size)
    pieces = [[int(seed) for seed in stack.removeprefix("seed=[").removesuffix("]").split(",")] for stack in stacks]
    assert [seed for piece in pieces for seed in piece] == seeds
    assert all(len(piece) == stack_size for piece in pieces[:-1])
    assert 1 <= len(pieces[-1]) <= stack_size


def sweep(runner: TSweepRunner, folder: Path, *words: str, fail: type[Exception] | None = None) -> list[list[str]]:
    """Sweep in this process over the configuration of Hydra's own tests; the overrides of each batch's jobs."""

    def task(config: DictConfig) -> DictConfig:
        if fail is not None and config.bar == 13:
            raise fail("unlucky")
        return config

    with runner(
        calling_file=None,
        calling_module="hydra.test_utils.a_module",
        task_function=task,
        config_path="configs",
        config_name="compose",
        overrides=["hydra/sweeper=stack", *words],
        temp_dir=folder,
    ) as swept:
        return [[" ".join(job.overrides) for job in batch] for batch in swept.returns]


@pytest.mark.usefixtures("hydra_restore_singletons", "hydras_own")
def test_batches_and_stacks_together(hydra_sweep_runner: TSweepRunner, tmp_path: Path) -> None:
    words = ["bar=1,2", "+seed=range(3)", "hydra.sweeper.stack_size=2", "hydra.sweeper.max_batch_size=3"]
    before = HydraConfig.instance().cfg
    assert sweep(hydra_sweep_runner, tmp_path, *words) == [
        ["bar=1 +seed=[0,1]", "bar=1 +seed=[2]", "bar=2 +seed=[0,1]"],
        ["bar=2 +seed=[2]"],
    ]
    assert HydraConfig.instance().cfg is before


@pytest.mark.usefixtures("hydra_restore_singletons", "hydras_own")
@pytest.mark.parametrize(("full", "error"), [("0", SystemExit), ("1", ArithmeticError)])
def test_a_failure_shows_after_all_batches(
    full: str,
    error: type[BaseException],
    hydra_sweep_runner: TSweepRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", full)
    words = ["bar=13,2,3", "hydra.sweeper.max_batch_size=1"]
    with pytest.raises(error) as raised:
        sweep(hydra_sweep_runner, tmp_path, *words, fail=ArithmeticError)
    assert str(raised.value) == ("1" if full == "0" else "unlucky")
    assert [(tmp_path / str(num)).is_dir() for num in range(4)] == [True, True, True, False]
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert "1 of 3 jobs failed:\nJob 0: ArithmeticError: unlucky\n  rerun: " in printed


@pytest.mark.integration
def test_a_sweep_is_the_union_over_its_grids(app: App) -> None:
    """Params are swept in each grid, and the command line has precedence over both."""
    grids = "params: {seed: 'range(2)'}\n    grids: ['lr=1,2', 'lr=3 seed=5', '']"
    app.config.write_text(CONFIG.replace("params: {}", grids))
    assert ran(app("--multirun")) == ["1 [0, 1]", "2 [0, 1]", "3 5", "1 [0, 1]"]  # the last has the default lr
    assert app.files("multirun.yaml") == ["out/multirun.yaml"]
    assert app.files("lr=*") == ["out/lr=1", "out/lr=2", "out/lr=3"]
    assert ran(app("--multirun", "lr=4", "seed=7")) == ["4 7"]  # once, though every grid leads there
    assert ran(app("--multirun", "lr=8,9")) == ["8 [0, 1]", "9 [0, 1]", "8 5", "9 5"]


@pytest.mark.usefixtures("hydra_restore_singletons", "hydras_own")
def test_grids_fill_batches_together(hydra_sweep_runner: TSweepRunner, tmp_path: Path) -> None:
    words = ["hydra.sweeper.grids=['bar=1,2','bar=3 foo=4']", "hydra.sweeper.max_batch_size=2"]
    assert sweep(hydra_sweep_runner, tmp_path, *words) == [["bar=1", "bar=2"], ["bar=3 foo=4"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=1,2", "sed=3"], "Could not override 'sed'.\n"),
        (["lr=1,66", "hydra.sweeper.max_batch_size=1"], "Expected `lr` to be anything but 66.\n"),
    ],
)
def test_nothing_is_written_where_one_job_is_wrong(app: App, words: list[str], message: str) -> None:
    result = app("--multirun", *words, "seed=range(2)")
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert ran(result) == []
    assert app.files() == []


@pytest.mark.integration
def test_failed_jobs_are_listed_with_commands_that_rerun_them(app: App) -> None:
    result = app("lr=13,1,14", "seed=0,1", "hydra.job.chdir=false", "--multirun")
    assert result.returncode == 1
    assert ran(result) == ["13 [0, 1]", "1 [0, 1]", "14 [0, 1]"]
    command = shlex.join([sys.executable, str(app.file), "--multirun", "hydra.job.chdir=false"])
    assert result.stderr.startswith("Job 0: Traceback (most recent call last):")
    assert result.stderr.endswith(
        f"""\
in two lines
2 of 3 jobs failed:
Job 0: ValueError: unlucky
  rerun: {command} lr=13 'seed=[0,1]'
Job 2: lr is 14
  rerun: {command} lr=14 'seed=[0,1]'
"""
    )
    before = app.files()
    assert [ran(app.shell(command)) for command in reruns(result)] == [["13 [0, 1]"], ["14 [0, 1]"]]
    assert app.files() == before


@pytest.mark.integration
def test_a_rerun_uses_the_folder_of_its_job(app: App) -> None:
    """Also where the folder depends on the time or on the number of the job."""
    dated = CONFIG.replace("dir: out", "dir: out, ${now:%f}").replace("${folder:${lr}}", "job ${hydra.job.num}")
    app.config.write_text(dated)
    result = app("--multirun", "lr=1,13,14")
    before = app.files()
    assert [ran(app.shell(command)) for command in reruns(result)] == [["13 0"], ["14 0"]]
    assert app.files() == before


@pytest.mark.integration
def test_tracebacks_come_back_from_other_processes(app: App) -> None:
    launcher = ("hydra.launcher._target_=hydra_plugins.cluster_launcher.joblib_launcher.JoblibLauncher",)
    result = app("--multirun", "lr=1,13", "seed=0,1", *launcher, "+hydra.launcher.n_jobs=2")
    assert sorted(ran(result)) == ["1 [0, 1]", "13 [0, 1]"]
    assert result.returncode == 1
    assert 'raise ValueError("unlucky\\nin two lines")' in result.stderr
    assert reruns(result)[0].endswith(" +hydra.launcher.n_jobs=2 lr=13 'seed=[0,1]'")


def test_an_interrupt_ends_the_sweep(app: App) -> None:
    result = app("--multirun", "lr=15,1")
    assert ran(result) == ["15 0"]
    assert result.stderr.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("python -m pkg.main --multirun lr=1,2 seed=range(20)", "python -m pkg.main --multirun lr=1 'seed=[0]'"),
        ("app -m -cn other lr=1,2", "app -m -cn other lr=1 'seed=[0]'"),
        ("app lr=1,2 hydra/launcher=x -m", "app -m hydra/launcher=x lr=1 'seed=[0]'"),
        ("python 'my app.py' -m", "python 'my app.py' -m lr=1 'seed=[0]'"),
    ],
)
def test_rerun_command(typed: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", shlex.split(typed))
    given = OmegaConf.create(["hydra/launcher=x", "hydra.mode=MULTIRUN"])
    assert rerun_command(["lr=1", "seed=[0]"], task=["lr=1,2", "seed=range(20)"], hydra=given) == expected


@pytest.mark.parametrize(
    ("error", "headline", "details"),
    [
        (CompactHydraException("Wrong."), "Wrong.", ""),
        (CompactHydraException("Wrong:\n- this"), "Wrong:", "Wrong:\n- this"),
        (CompactHydraException(), "CompactHydraException", ""),
        (ValueError("Wrong:\n- this"), "ValueError: Wrong:", "ValueError: Wrong:\n- this"),
        (ValueError(), "ValueError", "ValueError"),
    ],
)
def test_errors_in_one_line_and_in_full(error: Exception, headline: str, details: str) -> None:
    failure = Failure(num=0, error=error, command="app")
    assert (failure.headline, failure.details) == (headline, details)
