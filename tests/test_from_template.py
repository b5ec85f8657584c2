"""What a user of Lightning and Hydra types, row by row of the tables of the documentation."""

import json
import re
import shlex
from pathlib import Path

import lightning as L
import pytest

from src.training.module import StackedClassifier
from tests.commands import files, parametrize

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "from-lightning-hydra-template.md").read_text(encoding="utf-8")
SMALL = ("data.samples_per_class=10", "figures=none")


def rows(heading: str) -> list[tuple[str, str]]:
    """Return the first cell, without its backticks, and the second of each row of a table."""
    [table] = re.findall(rf"^\| {heading} \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return re.findall(r"^\| `(.*?)` \| (.*) \|$", table, flags=re.MULTILINE)


WORKS, REFUSED, PYTHON = rows(r"words \| what happens"), rows(r"words \| the line begins"), rows(r"expression \| gives")


def test_the_tables_have_at_least_the_rows_that_were_asked_for() -> None:
    assert len(WORKS) + len(REFUSED) + len(PYTHON) >= 25


@parametrize("words", [words for words, _ in WORKS], quick=2)
def test_what_works_trains_and_writes(train, tmp_path: Path, words: str) -> None:
    typed = shlex.split(words)
    short = [] if "debug=" in words else ["trainer.max_epochs=2"]
    if "experiment=" in words:
        short = ["trainer.max_epochs=1", "seed=0", "hydra.launcher.workers=1"]
    train(*typed, *short, *SMALL)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("results.json")]
    assert all(content["status"] == "completed" for content in found)
    jobs = {
        "--cfg job": 0,
        "'seed=[0,1]'": 2,
        "seed=0,1": 4,
        "loss=ce,mse": 2,
        "loss=m*": 4,
        "h*": 4,
        "hw4,lecture": 11,
    }
    assert len(found) == next((count for name, count in jobs.items() if name in words), 1)


@parametrize("words, line", REFUSED, quick=2)
def test_what_is_refused_says_why_in_one_line(train, tmp_path: Path, words: str, line: str) -> None:
    [shown] = train(*shlex.split(words), code=1).err.splitlines()
    assert shown.startswith(line)
    assert not files(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of Lightning, to the user of a notebook
def test_the_expressions_of_python_give_what_they_say(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "extending.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(# notebook\.py\n.*?)```", page, flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "notebook.py", "exec"), names)  # noqa: S102 - a page of ours
    given = {expression: eval(expression, names) for expression, _ in PYTHON}  # noqa: S307 - a page of ours
    assert given["trainer.global_step"] == 5 * 10
    assert {"test/loss", "test/accuracy"} <= set(given["trainer.callback_metrics"])
    assert set(given["trainer.test(model, loader)"][0]) == {"test/loss", "test/accuracy"}
    assert given["trainer.predict(model, loader)"][0].shape == (20, 20)
    assert Path("model.ckpt").exists()
    assert any(isinstance(value, StackedClassifier) for value in given.values())
    assert isinstance(names["model"].trainer, L.Trainer)
    assert len(names["model"].curves.train_loss) == 6
