from pathlib import Path

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import Findings, find
from src.report.report_tables import coefficient_table
from tests.analysis.studies import write_run


def findings(study: Path) -> Findings:
    return find(collect([study]), "test/accuracy", Plan("logistic"))


def test_each_class_has_a_row_a_condition_with_b_before_the_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        metrics = {"test/accuracy": 0.5 + 0.1 * seed}
        write_run(tmp_path, "mse", seed=seed, metrics=metrics)
        metrics |= {"log_odds/1/w2": -3.0 - seed, "log_odds/1/w1": 2.0, "log_odds/1/b": 1.5 + seed}
        write_run(tmp_path, "logistic", seed=seed, metrics=metrics)
        write_run(tmp_path, "logistic", 3, seed, metrics=metrics | {"log_odds/2/b": 7.0})
    table = coefficient_table(findings(tmp_path))
    assert table is not None
    assert table.head == ["condition", "C", "class", "b", "w1", "w2"]
    assert [row[:3] for row in table.rows] == [["logistic", "2", "1"], ["logistic", "3", "1"], ["logistic", "3", "2"]]
    first, last = table.rows[0][3:], table.rows[2][3:]
    assert first[0].startswith("2.0 [")
    assert first[1].startswith("2.00")
    assert first[2].startswith("-3.5 [")
    assert last[0].startswith("7.00")
    assert last[1] == last[2] == "–"  # noqa: RUF001 - an en dash


def test_there_is_no_table_where_no_classifier_is_linear(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert coefficient_table(find(collect([tmp_path]), "test/accuracy", Plan("ce"))) is None
