from pathlib import Path

import pytest

from scripts.inspect import main

TABLES = Path(__file__).parents[1] / "data" / "tables"


def test_each_column_is_a_row_with_its_role_and_the_classes_are_counted(capsys):
    assert main([f"data.path={TABLES / 'exported_index.csv'}", "data.target=grade"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Unnamed:", "0", "index", "not", "used", "60", "0", "counts", "the", "rows"] in rows
    assert ["length", "number", "feature", "60", "0"] in rows
    assert ["grade", "target", "class", "3", "0"] in rows
    assert ["classes:", "high", "(20),", "low", "(20),", "medium", "(20)"] in rows


def test_a_table_that_is_refused_is_shown_with_the_reason(capsys):
    assert main([f"data.path={TABLES / 'identifier_and_date.csv'}", "data.target=outcome"]) == 1
    shown = capsys.readouterr()
    assert "patient   identifier   refused" in shown.out
    [line] = shown.err.splitlines()
    assert line.startswith("Expected `data.drop` to be set, as by data.drop=[patient,visited] (patient differs")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["data.path=nowhere.csv", "data.target=y"], 1, "Expected `data.path` to be an existing CSV"),
        (["data.path=https://localhost/t.csv", "data.target=y"], 1, "Expected `data.path` to be an existing CSV"),
        (["data.pth=t.csv"], 2, "Expected `data.pth` to be a setting"),
    ],
)
def test_wrong_settings_are_one_line(words, code, expected, capsys):
    assert main(words) == code
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_hostile_name_is_printed_and_not_acted_upon(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("[red]x[/red]\x1b[2J,y\n1.5,a\n2.5,b\n", encoding="utf-8")
    assert main([f"data.path={path}", "data.target=y"]) == 0
    assert "[red]x[/red]\\x1b[2J" in capsys.readouterr().out


def test_a_name_that_is_not_ascii_needs_no_quotes(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("größe,等级\n" + "".join(f"{row % 7},{'uv'[row % 2]}\n" for row in range(20)), encoding="utf-8")
    assert main([f"data.path={path}", "data.target=等级"]) == 0
    assert ["等级", "target", "class", "2", "0"] in [line.split() for line in capsys.readouterr().out.splitlines()]
