import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.report.latex import escape, latex_tables, winners
from tests.analysis.studies import write_run, write_study


def summary(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[f"x/accuracy {part}" for part in ("mean", "low", "high")])


@pytest.mark.parametrize(
    ("rows", "bold"),
    [
        ([(0.7, 0.6, 0.8), (0.65, 0.1, 0.9), (0.59, 0.5, 0.9)], [True, True, False]),
        ([(0.7, 0.69, 0.71), (0.68, 0.5, 0.9)], [True, False]),
        ([(0.7, np.nan, np.nan), (0.7, 0.6, 0.8)], [True, False]),
        ([(np.nan, np.nan, np.nan)], [False]),
    ],
)
def test_every_loss_inside_the_winners_bounds_is_bold(rows: list[tuple[float, float, float]], bold: list[bool]):
    assert list(winners(summary(*rows), "x/accuracy")) == bold


def test_the_winner_of_a_loss_is_the_smallest():
    table = summary((0.7, 0.6, 0.8), (0.5, 0.4, 0.65)).rename(columns=lambda name: name.replace("accuracy", "regret"))
    assert list(winners(table, "x/regret")) == [False, True]


def test_every_special_character_is_escaped():
    assert escape("a_b & 100% #1 $x$ {y} ~ ^ \\ <z> |") == (
        r"a\_b \& 100\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"\textless{}z\textgreater{} \textbar{}"
    )
    assert escape("a\nb\x00c") == "a b c"


def test_the_tables_balance_and_every_row_has_its_cells(tmp_path: Path):
    write_study(tmp_path, seeds=4)
    for seed in range(4):
        write_run(tmp_path, r"\input{x}_%&", 2, seed, condition="odd")
    text = latex_tables(find(collect([tmp_path]), "population/accuracy", Plan("ce")))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\toprule") == 2
    assert r"\input{" not in text
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, flags=re.DOTALL):
        columns = len(re.match(r"\\begin\{tabular\}\{(\w+)\}", table).group(1))
        rows = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
    assert r"\textbf{" in text
    assert r"\textbackslash{}input\{x\}\_\%\& & " in text
