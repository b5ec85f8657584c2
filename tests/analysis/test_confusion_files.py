from pathlib import Path

import numpy as np
import pytest

from src.analysis.collect import collect
from src.analysis.confusion_files import read_confusion
from src.report.figures.confusion import confusion_matrices_figure
from src.storage.schema import CONFUSION
from tests.analysis.studies import write_run

TEXT = "target,NA,<b>\nNA,{},1\n<b>,0,2\n"


def test_the_test_samples_of_all_seeds_are_summed_with_their_labels(tmp_path: Path):
    for seed in range(2):
        (write_run(tmp_path, seed=seed) / CONFUSION).write_text(TEXT.format(3 + seed))
    write_run(tmp_path, "mse")  # of a run without a matrix
    runs = collect([tmp_path]).completed
    found, problems = read_confusion(runs)
    [confusion] = found.values()
    assert problems == []
    assert confusion.names == ("NA", "<b>")
    assert confusion.counts.tolist() == [[7, 2], [0, 4]]
    np.testing.assert_allclose(confusion.recall, [7 / 9, 1])
    [ax] = confusion_matrices_figure(runs, found).axes
    assert [text.get_text() for text in ax.texts] == ["78", "22", "0", "100"]
    assert ax.get_title() == "ce\nmean recall 89 %"


@pytest.mark.parametrize(
    "content",
    [
        *("", "x\n", "a,b\nc,d\n", "target,a,b\na,1\nb,2,3\n", "target,a,b\nb,1,0\na,0,1\n"),
        *("target,a,b\na,-1,0\nb,0,1\n", "target,a,b\na,1,x\nb,0,1\n", f"target,a,b\na,{'9' * 20},0\nb,0,1\n"),
    ],
)
def test_a_damaged_matrix_is_one_line(content: str, tmp_path: Path):
    (write_run(tmp_path) / CONFUSION).write_text(content)
    found, (line,) = read_confusion(collect([tmp_path]).completed)
    assert found == {}
    assert f"{CONFUSION} is no confusion matrix" in line
    assert "\n" not in line


def test_other_labels_than_those_of_the_condition_are_one_line(tmp_path: Path):
    for seed, name in enumerate(("NA", "a")):
        (write_run(tmp_path, seed=seed) / CONFUSION).write_text(TEXT.format(1).replace("NA", name))
    _, (line,) = read_confusion(collect([tmp_path]).completed)
    assert "other labels" in line
