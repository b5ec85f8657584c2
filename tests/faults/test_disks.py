"""A full disk, one that cannot be written, a folder that vanishes: a line, code 1, and what is finished stays whole."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest

from src.experiments import train_stack
from tests.commands import parametrize
from tests.faults.studies import contents, leftovers, written_runs

ONE = ("loss=ce", "trainer.max_epochs=2", "data.samples_per_class=10", "study=s", "figures=none")
FREE = (200_000, 0, 40_000, 120_000, 600_000, 1_000_000)
MANY = f"seed=[{','.join(map(str, range(40)))}]"


@contextmanager
def small_disk(folder, options="size=2m"):
    """Mount a small file system at a folder, which only root may."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, free):
    """Leave so many bytes free on a disk."""
    with (folder / "filler").open("wb") as filler:
        filler.write(bytes(shutil.disk_usage(folder).free - free))


def finished(folder):
    """Return the files of all finished seeds."""
    return {path: content for path, content in contents(folder).items() if "/seed=" in path}


@parametrize("storage,free", [*(("files", free) for free in FREE), ("table", 0), ("table", 600_000)], quick=1)
def test_a_full_disk(storage, free, tmp_path, train, count):
    disk = tmp_path / "outputs"
    disk.mkdir()
    with small_disk(disk):
        words = (*ONE, f"storage={storage}")
        train(*words, "seed=0")
        whole = finished(tmp_path)
        fill(disk, free)
        error = train(*words, MANY, code=1).err
        assert "\n" not in error.strip()
        assert "No space left on device" in error or "are free" in error
        kept = finished(tmp_path)
        assert whole.items() <= kept.items()
        assert {content["status"] for path, content in kept.items() if path.endswith(".json")} == {"completed"}
        assert not leftovers(tmp_path)
        (disk / "filler").unlink()
        shutil.copytree(disk, tmp_path / "larger", symlinks=True)
    shutil.copytree(tmp_path / "larger", disk, dirs_exist_ok=True)
    train(*words, MANY)
    assert len(written_runs(tmp_path)) == 40
    assert kept.items() <= finished(tmp_path).items()
    count("full or unwritable disks, and folders that vanished")


def test_a_disk_that_cannot_be_written(tmp_path, train, count):
    disk = tmp_path / "outputs"
    disk.mkdir()
    with small_disk(disk, "size=2m,ro"):
        error = train(*ONE, code=1).err
    assert error.startswith("Expected `hydra.sweep.dir` to be a folder that can be written")
    assert "\n" not in error.strip()
    count("full or unwritable disks, and folders that vanished")


@parametrize("name", ["seed=1", ".seed=2.new"], quick=1)
def test_nothing_is_written_through_a_link(name, tmp_path, train, count):
    """N4: a seed whose directory was a link was trained, then lost."""
    train(*ONE)
    [condition] = tmp_path.glob("outputs/s/loss=ce*")
    (tmp_path / "elsewhere").mkdir()
    (condition / name).symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path)
    error = train("--multirun", *ONE, "seed=range(3)", code=1).err
    assert error.startswith("Expected `hydra.sweep.dir` to be a folder without links to write through")
    assert name in error
    assert "\n" not in error.strip()
    assert contents(tmp_path) == before
    count("links in outputs, none of them followed")


@pytest.mark.parametrize("level", ["condition", "study"])
def test_a_folder_that_is_removed_while_its_seeds_train(level, tmp_path, train, monkeypatch, count):
    train("loss=mse", *ONE[1:])
    whole = finished(tmp_path)
    fit = train_stack.fit

    def removes(*arguments):
        [folder] = tmp_path.glob("outputs/s/loss=ce*")
        shutil.rmtree(folder if level == "condition" else folder.parent)
        return fit(*arguments)

    monkeypatch.setattr(train_stack, "fit", removes)
    error = train(*ONE, "seed=[0,1]", code=1).err
    assert error.startswith("Cannot write to ")
    assert "(No such file or directory)" in error
    assert "\n" not in error.strip()
    assert finished(tmp_path) == (whole if level == "condition" else {})
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    count("full or unwritable disks, and folders that vanished")
