import os
from pathlib import Path

import pytest

from scripts.benchmark.command import BenchmarkError, memory_of_session, run, run_together


@pytest.mark.integration
def test_a_command_really_runs_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished = run(
        "src.train", "loss=ce", "classes=2", "trainer.max_epochs=1", "data.samples_per_class=10", "figures=none"
    )
    assert 0.1 < finished.seconds < 300
    assert 5e7 < finished.memory < 1.5e9
    assert "loss=ce classes=2" in finished.output
    assert not any(tmp_path.iterdir())


@pytest.mark.integration
def test_commands_run_together_and_their_childrens_memory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("child.py").write_text(
        "import pathlib, sys, time\n"
        "held = b'x' * 150_000_000\n"
        "folder = pathlib.Path(__file__).parent\n"
        "folder.joinpath(sys.argv[1]).touch()\n"
        "while len(list(folder.glob('started *'))) < 2:\n    time.sleep(0.05)\n"  # for the other command
        "time.sleep(1.5)\n"
    )
    tmp_path.joinpath("parent.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'child', sys.argv[1]], check=True)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    memory = [each.memory for each in run_together([["parent", "started 1"], ["parent", "started 2"]])]
    assert min(memory) > 1.5e8
    assert max(memory) < 2.5e8


def test_a_command_that_fails_is_named_with_its_last_line() -> None:
    with pytest.raises(BenchmarkError, match=r"^json.tool nowhere.json ended with code \d: .*No such file"):
        run("json.tool", "nowhere.json")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system has no /proc")
def test_the_memory_of_a_session_is_that_of_its_processes_alone() -> None:
    assert memory_of_session(os.getsid(0)) > 5e7
    assert memory_of_session(2**30) == 0  # above any process id
