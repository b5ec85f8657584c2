import shutil
from pathlib import Path

import pytest

from src.storage.atomic import numbered_folder, recover, remove_folder, replacing_file, replacing_folder


def files(folder: Path) -> dict[str, str]:
    """Return the content of every file below a folder, by path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("durable", [True, False])
def test_the_target_appears_whole_and_the_scratch_file_is_gone(durable: bool, tmp_path: Path):
    target = tmp_path / "a.csv"
    target.write_text("old", encoding="utf-8")
    with replacing_file(target, durable=durable) as scratch:
        scratch.write_text("new", encoding="utf-8")
        assert (scratch.parent, scratch.suffix) == (tmp_path, ".csv")
        assert target.read_text(encoding="utf-8") == "old"
    assert target.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    target = tmp_path / "a.csv"
    target.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with replacing_file(target) as scratch:
            scratch.write_text("ne", encoding="utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_scratch_file_of_an_event_file_is_none_itself(tmp_path: Path):
    with replacing_file(tmp_path / "events.out.tfevents.losslab") as scratch:
        scratch.touch()
        assert "tfevents" not in scratch.name


def test_a_new_folder_appears_when_the_body_ends(tmp_path: Path) -> None:
    target = tmp_path / "study" / "condition" / "seed=0"
    target.parent.mkdir(parents=True)
    with replacing_folder(target) as folder:
        (folder / "a.txt").write_text("new")
        assert not target.exists()
    assert files(tmp_path) == {"study/condition/seed=0/a.txt": "new"}
    assert [path.name for path in target.parent.iterdir()] == ["seed=0"]


def test_an_old_folder_stays_whole_until_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "seed=0"
    target.mkdir()
    (target / "a.txt").write_text("old")
    (target / "only_old.txt").write_text("old")
    with replacing_folder(target) as folder:
        assert list(folder.iterdir()) == []
        (folder / "a.txt").write_text("new")
        assert files(target) == {"a.txt": "old", "only_old.txt": "old"}
    assert files(tmp_path) == {"seed=0/a.txt": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["seed=0"]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, FileNotFoundError])
def test_an_old_folder_survives_a_body_that_raises(tmp_path: Path, error: type[BaseException], old: bool) -> None:
    target = tmp_path / "seed=0"
    if old:
        target.mkdir()
        (target / "a.txt").write_text("old")

    def write_half() -> None:
        with replacing_folder(target) as folder:
            (folder / "a.txt").write_text("half")
            if error is not FileNotFoundError:
                raise error
            shutil.rmtree(folder)  # so that it cannot take the place of the old one

    with pytest.raises(error):
        write_half()
    assert files(tmp_path) == ({"seed=0/a.txt": "old"} if old else {})
    assert [path.name for path in tmp_path.iterdir()] == ["seed=0"] * old


@pytest.mark.parametrize("kept", [("seed=0",), (".seed=0.old",), ("seed=0", ".seed=0.old")])
def test_leftovers_of_a_killed_process_are_cleared_or_restored(tmp_path: Path, kept: tuple[str, ...]) -> None:
    for name in (".seed=0.new", *kept):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    recover(tmp_path / "seed=0")
    assert files(tmp_path) == {"seed=0/a.txt": kept[0]}
    assert [path.name for path in tmp_path.iterdir()] == ["seed=0"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("seed=0", ".seed=0.new", ".seed=0.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale.txt").write_text("stale")
    with replacing_folder(tmp_path / "seed=0") as folder:
        (folder / "a.txt").write_text("new")
    assert files(tmp_path) == {"seed=0/a.txt": "new"}


def test_a_folder_in_a_place_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing_folder(tmp_path / "gone" / "seed=0"):
        pytest.fail("the body must not run")
    assert list(tmp_path.iterdir()) == []


# Numbered folders.


def test_numbered_folders_are_added_and_never_replaced(tmp_path: Path) -> None:
    for name in ("stack-0", "stack-7", "stack-x"):
        (tmp_path / name).mkdir()
    with numbered_folder(tmp_path / "stack-", holder=tmp_path / "seed=0") as folder:
        (folder / "a.txt").write_text("first")
        with numbered_folder(tmp_path / "stack-", holder=tmp_path / "seed=1") as other:
            (other / "a.txt").write_text("second")
    assert files(tmp_path) == {"stack-8/a.txt": "second", "stack-9/a.txt": "first"}


def test_a_number_that_another_process_takes_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: [])  # as if the other one came just after
    for name in ("seed=0", "seed=1"):
        with numbered_folder(tmp_path / "stack-", holder=tmp_path / name) as folder:
            (folder / "a.txt").write_text(name)
    monkeypatch.undo()
    assert files(tmp_path) == {"stack-0/a.txt": "seed=0", "stack-1/a.txt": "seed=1"}


def test_an_error_leaves_no_numbered_folder(tmp_path: Path) -> None:
    def write_half() -> None:
        with numbered_folder(tmp_path / "stack-", tmp_path / "seed=0") as folder:
            (folder / "a.txt").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_removed_folder_that_is_left_over_is_recovered_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("seed=0", "seed=1"):
        (tmp_path / name).mkdir()
    remove_folder(tmp_path / "seed=0", tmp_path / "seed=0")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda _: None)  # as if killed
        remove_folder(tmp_path / "seed=1", tmp_path / "seed=2")
    assert [path.name for path in tmp_path.iterdir()] == [".seed=2.new"]
    recover(tmp_path / "seed=2")
    assert list(tmp_path.iterdir()) == []
