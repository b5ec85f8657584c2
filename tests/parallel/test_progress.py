from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from src.parallel import progress
from src.parallel.process_pool import Pool
from src.parallel.progress import Display
from src.parallel.worker import Advance, Output, Result


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    file = StringIO()
    monkeypatch.setattr(progress, "Console", lambda: Console(file=file, force_terminal=True, width=120))
    return file


def test_a_terminal_shows_a_bar_for_the_jobs_and_one_for_each_that_runs(terminal: StringIO) -> None:
    with Display(2) as shown:
        shown.heard(0, Advance("loss=ce", 3, 10, "mean loss 0.5"))
        shown._progress.refresh()
        assert "3/10" in terminal.getvalue()
        assert "mean loss 0.5" in terminal.getvalue()
        assert "0/2" in terminal.getvalue()
        shown.heard(0, Result())
        shown._progress.refresh()
        assert "1/2" in terminal.getvalue()
        assert len(shown._progress.tasks) == 1


def test_what_jobs_print_goes_to_the_stream_that_they_printed_to(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(1) as shown:
        shown.heard(0, Output("stdout", "to out\n"))
        shown.heard(0, Output("stderr", "to err\n"))
        shown.heard(0, Advance("loss=ce", 1, 2, ""))
    assert capsys.readouterr() == ("to out\n", "to err\n")  # and no bar, as this is no terminal


def test_in_a_worker_progress_is_handed_on() -> None:
    def shows(_: int, job: str) -> None:
        with Display(1) as shown:
            shown.heard(0, Advance(job, 1, 2, "half"))

    heard: list[Any] = []
    Pool(shows, 1).run(["inner"], lambda _, message: heard.append(message))
    assert heard == [Advance("inner", 1, 2, "half"), Result()]
