from io import StringIO

import pytest
from rich.console import Console

from src.parallel import progress
from src.parallel.progress import Display
from src.parallel.worker import JobResult, Progress, StdoutChunk


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    file = StringIO()
    monkeypatch.setattr(progress, "Console", lambda: Console(file=file, force_terminal=True, width=120))
    return file


def test_a_terminal_shows_a_bar_for_the_jobs_and_one_for_each_that_runs(terminal: StringIO) -> None:
    with Display([2, 1]) as shown:
        shown.on_message(0, Progress("loss=ce", 3, 10, "mean loss 0.5"))
        shown._bars.refresh()
        assert "3/10" in terminal.getvalue()
        assert "mean loss 0.5" in terminal.getvalue()
        assert "0/3" in terminal.getvalue()
        shown.on_message(0, JobResult())
        shown._bars.refresh()
        assert "2/3" in terminal.getvalue()
        assert len(shown._bars.tasks) == 1


def test_what_jobs_print_goes_to_the_stream_that_they_printed_to(capsys: pytest.CaptureFixture[str]) -> None:
    with Display([1]) as shown:
        shown.on_message(0, StdoutChunk("stdout", "to out\n"))
        shown.on_message(0, StdoutChunk("stderr", "to err\n"))
        shown.on_message(0, Progress("loss=ce", 1, 2, ""))
    assert capsys.readouterr() == ("to out\n", "to err\n")  # and no bar, as this is no terminal
