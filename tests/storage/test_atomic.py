from pathlib import Path

import pytest

from src.storage.atomic import replacing_file


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
