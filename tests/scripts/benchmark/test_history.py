import csv
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark.__main__ import main
from scripts.benchmark.history import COLUMNS, CONTEXT, MACHINE, append, read
from tests.scripts.benchmark.made_up import content

ROOT = Path(__file__).parents[3]


def on(machine: str, **costs: list[float]) -> dict[str, Any]:
    measured = content(**costs)
    for part in measured.values():
        part["context"] = part["context"] | {"processor": machine}
    return measured


def test_a_row_has_hand_checked_ratios_and_no_times(tmp_path: Path) -> None:
    file = tmp_path / "speed.csv"
    assert append(file, content()) == []
    [row] = csv.DictReader(file.read_text().splitlines())
    assert tuple(row) == COLUMNS
    assert [row[name] for name in CONTEXT] == ["2026-01-02 03:04", "abc", "2.13", "A, B", "AVX2", "2", "0.01"]
    assert {name: float(row[name]) for name in COLUMNS[len(CONTEXT) :] if row[name]} == {
        "loop S=20": 54.55,  # the median of 600 / 11, 660 / 12.5 and 630 / 11.5, the faster form of losslab
        "jax S=20": 1.043,
        "loop S=80": 54.55,
        "jax S=80": 1.043,
        "loop for one network": 2.45,  # of 12 / 5 and 10 / 4
        "loop for 80 networks": 35.0,
        "50 commands for 1000 seeds": 2.5,  # 50 times 8 s against 160 s
    }


def test_only_a_fall_by_more_than_a_tenth_is_reported_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "speed.csv"
    falls = [append(file, {"engine": content(ours=[us] * 3, jax=[12.0] * 3)["engine"]}) for us in (10.0, 11.0, 12.5)]
    assert falls[:2] == [[], []]  # from 1.2 to 1.091, by 9.1 %
    assert falls[2] == [  # by 12 %
        f"history: {name} fell from {before} to {after} times losslab's time"
        for size in (20, 80)
        for name, before, after in ((f"loop S={size}", 57.27, 50.4), (f"jax S={size}", 1.091, 0.96))
    ]
    assert [row["fell"] for row in read(file)] == ["", "", "loop S=20; jax S=20; loop S=80; jax S=80"]


def test_a_ratio_is_compared_with_its_last_value_on_the_same_machine(tmp_path: Path) -> None:
    file = tmp_path / "speed.csv"
    slow = [22.0, 25.0, 23.0]
    append(file, on("mine"))
    append(file, {"single": on("mine")["single"]})  # without ratios of the engine
    assert append(file, on("another", ours=slow)) == []
    assert any("loop S=20 fell from 54.55 to " in line for line in append(file, on("mine", ours=slow)))
    assert len(read(file)) == 4
    assert {*MACHINE} <= {*CONTEXT}


def test_short_measurements_and_those_without_a_ratio_add_no_row(tmp_path: Path) -> None:
    measured = content()
    for part in ("start", "growth"):
        assert "no row was added" in append(tmp_path / "speed.csv", {part: measured[part]})[0]
    for part in measured.values():
        part["context"]["quick"] = True
    assert "no row was added" in append(tmp_path / "speed.csv", measured)[0]
    assert not list(tmp_path.iterdir())


def test_earlier_rows_stay_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "speed.csv"
    append(file, content())
    before = file.read_text()
    append(file, content())
    assert file.read_text() == before + before.partition("\n")[2]
    file.write_text(before.replace("fell\n", "fell,of old\n").replace("2.5,\n", "2.5,,7\n"))
    append(file, content())
    assert [row["of old"] for row in read(file)] == ["7", ""]


def test_the_command_adds_what_it_measured_and_refuses_other_files(
    commands: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.csv"
    for _ in range(2):
        assert main(["--parts", "single", "--history", str(file)]) == 0
    rows = read(file)
    assert len(rows) == 2
    assert rows[0]["loop for one network"]
    assert rows[0]["capability"]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit):
        main(["--history", str(tmp_path / "other.csv")])
    assert "expected a file that --history wrote" in capsys.readouterr().err


def test_the_history_of_the_repository_can_be_read() -> None:
    read(ROOT / "docs" / "speed.csv")
