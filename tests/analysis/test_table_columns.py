import json
from pathlib import Path
from typing import Any

import pytest

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.analysis.table_columns import read_columns
from src.report.report_tables import columns_table
from src.storage.schema import TABLE
from tests.analysis.studies import write_run

COLUMN = {"name": "<b>size", "role": "number", "values": 7, "missing": 1, "used": True}
INDEX = {"name": "Unnamed: 0", "role": "index", "values": 9, "missing": 0, "used": False}


def test_each_column_is_a_row_of_its_file_once(tmp_path: Path) -> None:
    content = {"path": "data/a.csv", "sha256": "1", "columns": [INDEX, COLUMN]}
    for loss in ("ce", "mse"):
        for seed in range(2):
            (write_run(tmp_path, loss, seed=seed) / TABLE).write_text(json.dumps(content), encoding="utf-8")
    table = columns_table(find(collect([tmp_path]), "test/accuracy", Plan("ce")))
    assert table is not None
    assert table.rows == [
        ["a.csv", "Unnamed: 0", "index", "not used", "9", "0"],
        ["a.csv", "<b>size", "number", "feature", "7", "1"],
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", "5", json.dumps({"sha256": "1"}), json.dumps({"sha256": 1, "path": 2, "columns": [3]})]
)
def test_what_no_run_writes_is_left_out(content: Any, tmp_path: Path) -> None:
    (write_run(tmp_path) / TABLE).write_text(content, encoding="utf-8")
    assert read_columns(collect([tmp_path]).completed).empty
