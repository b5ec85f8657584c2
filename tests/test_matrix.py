import os
import shutil
import subprocess

import pytest
import yaml

from tests import matrix
from tests.commands import posix

WORKFLOW = matrix.ROOT / ".github" / "workflows" / "ci.yml"


def test_the_workflow_tests_every_system_and_python_without_make():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    axes = jobs["test"]["strategy"]["matrix"]
    assert axes["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert axes["python"] == ["3.11", "3.12", "3.13", "3.14"]
    commands = [step["run"] for step in jobs["test"]["steps"] if "run" in step]
    assert commands == ["python -m pip install -r requirements.txt -e .", "python -m pytest"]
    assert {step["run"] for step in jobs["lint"]["steps"] if "run" in step} == {"make lint"}


@posix
def test_no_compiler_hides_compilers_and_nothing_else(tmp_path):
    path = matrix.no_compiler(tmp_path).environment["PATH"]
    assert shutil.which("cc", path=path) is None
    assert shutil.which("gcc", path=path) is None
    assert shutil.which("git", path=path) is not None


@posix
def test_the_plain_kernel_is_compiled_for_any_processor(tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = matrix.plain_kernel(tmp_path).environment["PATH"]
    command = [shutil.which("cc", path=path), "-O3", "-march=native", "a file.c", "-o", "out"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "-O3|a file.c|-o|out|"


@pytest.mark.parametrize(("codes", "expected"), [((0, 0), 0), ((0, 1), 1)])
def test_each_row_is_a_line_and_one_failure_fails(codes, expected, monkeypatch, capsys):
    ended = iter(codes)
    monkeypatch.setattr(matrix, "run", lambda name, arguments: matrix.Outcome(next(ended), 7, 0, 2, 3.4))
    assert matrix.main(["sigint", "spaces"]) == expected
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:7] for line in lines] == [
        [name, "7", "passed", "0", "failed", "2", "skipped"] for name in ("sigint", "spaces")
    ]


@posix
def test_joined_rows_are_one_machine(tmp_path):
    machine = matrix.machine_of("sigint+locale_c+cpu_avx2", tmp_path)
    assert machine.environment == {"LC_ALL": "C", "LANG": "C", "LANGUAGE": None, "ATEN_CPU_CAPABILITY": "avx2"}
    assert machine.prepare is not None
    with pytest.raises(LookupError, match="cpu_default changes what a row before it changes"):
        matrix.machine_of("cpu_avx2+cpu_default", tmp_path)


def test_an_unknown_row_is_named_with_the_rows_that_exist(capsys):
    with pytest.raises(SystemExit):
        matrix.main(["sigint+moon"])
    error = capsys.readouterr().err
    assert "moon" in error
    assert "cpu_default, cpu_avx2" in error
