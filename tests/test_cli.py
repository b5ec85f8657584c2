import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import cli
from src.cli import COMMANDS, main
from src.utils.console import command_name


def test_help_lists_every_command_and_loads_no_large_library():
    program = "import atexit, sys; from src.cli import main; atexit.register(lambda: print(*sys.modules)); main(['-h'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(f"\n    {name}" in done.stdout for name in COMMANDS)
    assert not {"torch", "lightning", "hydra", "pandas", "matplotlib"} & set(done.stdout.split())


@pytest.mark.parametrize("words", [[], ["nope"]])
def test_a_wrong_command_is_one_line_and_code_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("losslab: ")


@pytest.mark.parametrize(("name", "typed"), [("train", []), ("sweep", ["--multirun"]), ("report", [])])
def test_a_command_hands_its_arguments_to_its_module(name, typed, monkeypatch):
    class Module:
        @staticmethod
        def main():
            return [*sys.argv, command_name("src.train")]

    monkeypatch.setattr(sys, "argv", ["losslab"])
    monkeypatch.setattr(cli.importlib, "import_module", lambda _: Module)
    assert main([name, "--help", "a=1"]) == [f"losslab {name}", *typed, "--help", "a=1", f"losslab {name}"]


def test_a_command_whose_output_nobody_reads_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "src.cli", "train", "--help"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_module_of_a_command_has_a_function_main(command):
    source = importlib.util.find_spec(command.module).origin
    assert "\ndef main(" in Path(source).read_text(encoding="utf-8")
