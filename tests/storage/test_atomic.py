from pathlib import Path

import pytest

from src.storage.atomic import replacing_file


def test_the_target_appears_whole_and_the_scratch_file_is_gone(tmp_path: Path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with replacing_file(target) as scratch:
        scratch.write_text("new")
        assert scratch.parent == tmp_path
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    target = tmp_path / "a.csv"
    target.write_text("old")

    def write_half() -> None:
        with replacing_file(target) as scratch:
            scratch.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
