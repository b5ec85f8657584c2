"""Tests of the console that commands print to: how Ctrl-C ends one, wherever it comes."""

import subprocess
import sys

import pytest

BODIES = {
    "plainly": "raise KeyboardInterrupt",
    "with_advice": "raise KeyboardInterrupt('Nothing is lost.')",
    "inside_an_exec": "exec('raise KeyboardInterrupt')",
    "in_a_callback": "weakref.finalize(Object(), ctrl_c)\n    for _ in range(600): time.sleep(0.1)",
    "in_a_command_of_another": "with console_output(): raise KeyboardInterrupt",
}
COMMAND = """
import signal, time, weakref
from src.utils.console import console_output
class Object: pass
def ctrl_c(): raise KeyboardInterrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
with console_output():
    {body}
"""


@pytest.mark.parametrize("where", BODIES)
def test_ctrl_c_ends_a_command_with_one_line_and_code_130(where):
    command = [sys.executable, "-c", COMMAND.format(body=BODIES[where])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stderr == ("Interrupted. Nothing is lost.\n" if where == "with_advice" else "Interrupted.\n")
    assert done.returncode == 130


def test_what_a_callback_raises_is_reported_and_the_command_goes_on():
    body = "weakref.finalize(Object(), lambda: 1 / 0)\n    print('done')"
    command = [sys.executable, "-c", COMMAND.format(body=body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "ZeroDivisionError" in done.stderr
