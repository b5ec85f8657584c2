"""The wheel, installed into an environment of its own, outside of the clone."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.commands import CONSOLE, SHORT, results

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
SOURCES = ("src", "scripts", "hydra_plugins", "conf", "pyproject.toml", "README.md", "LICENSE")
WORDS = (*SHORT, "study=s")


def run(*command: str | Path, folder: Path, code: int = 0) -> str:
    """Run a command in a folder, without a path of Python's own, and return its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding=CONSOLE, errors="replace", timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, as a build leaves files beside its sources."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if ROOT.joinpath(name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    options = ("--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist")  # nothing is downloaded
    run(sys.executable, "-m", "pip", "wheel", *options, ".", folder=copy)
    [built] = copy.glob("dist/losslab-*.whl")
    return built


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment that sees the libraries of this one; return where its commands are."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=sys.platform != "win32")
    variables = {"base": str(environment), "platbase": str(environment)}
    found = Path(sysconfig.get_path("scripts", "venv", variables))
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    # Python does not run the .pth files of a directory that a .pth file adds; one of them adds this clone.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", found / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, folder=environment)
    return found


def test_the_wheel_holds_every_file_but_tests(wheel: Path):
    expected = {
        path.relative_to(ROOT).as_posix()
        for top in ("src", "scripts", "hydra_plugins", "conf")
        for path in ROOT.joinpath(top).rglob("*.*")
        if path.suffix in (".c", ".html", ".md", ".mplstyle", ".py", ".yaml")
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert expected <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_an_installed_program_trains_sweeps_reports_and_evaluates(commands: Path, tmp_path: Path):
    losslab = commands / "losslab"
    where = run(commands / "python", "-c", "import src; print(src.__file__)", folder=tmp_path)
    assert str(commands.parent) in where, "this clone runs instead of the installed program"

    run(losslab, "train", "loss=ce", *WORDS, folder=tmp_path)
    run(losslab, "sweep", "loss=ce,mse", "seed=0,1", *WORDS, folder=tmp_path)
    assert len(results(tmp_path)) == 4
    assert "4 completed runs, 2 conditions" in run(losslab, "report", "outputs/s", folder=tmp_path)
    [seed] = tmp_path.glob("outputs/s/loss=ce*/seed=0")
    assert "different" not in run(losslab, "evaluate", f"run={seed}", folder=tmp_path)


def test_the_command_that_reruns_a_failed_job_works_when_typed(commands: Path, tmp_path: Path):
    words = ("loss=ce,mse", "optimizer.lr=1e29", *WORDS)
    shown = run(commands / "losslab", "sweep", *words, folder=tmp_path, code=1)
    [rerun, *_] = [line.removeprefix("  rerun: ") for line in shown.splitlines() if line.startswith("  rerun: ")]
    again = run("sh", "-c", rerun, folder=tmp_path, code=1)
    assert "1 of 1 jobs failed" in again
