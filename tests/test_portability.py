"""Commands as a user types them, on machines that lack what this one has."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import results

ROOT = Path(__file__).parents[1]
FOLDER = "Größe λ"  # every command runs in a directory with a blank and letters that few consoles show
CLASSES = ("löß", "λ→", "ß")
LABELS = 'data.labels=["löß","λ→","ß"]'
WORDS = (
    "data=csv",
    'data.path="table λ.csv"',
    "data.target=label",
    LABELS,
    "trainer.max_epochs=1",
    "study=s",
    "seed=0,1",
)
SWEEP = ("--multirun", "loss=ce,mse", "hydra.launcher.workers=2")  # two worker processes on any machine

HIDDEN = """
import os, signal, sys
for name in ("fcntl", "grp", "pwd", "resource"):
    sys.modules[name] = None
for module, names in {os: ("fork", "forkpty", "sched_getaffinity"), signal: ("SIGALRM",)}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""
NOBODY = "import sys; sys.modules['pwd'] = None"  # as for a user without an entry in /etc/passwd
MACHINES = {
    "neither POSIX nor HOME nor a user's entry, console of cp1252, odd time zone, stdin closed": {
        "PYTHONIOENCODING": "cp1252",
        "PYTHONUTF8": "0",
        "HOME": None,
        "TZ": "XXX-13:45",
        "sitecustomize": HIDDEN,
        "LOSSLAB_START_METHOD": "spawn",
    },
    "POSIX without a user's entry": {"HOME": None, "sitecustomize": NOBODY},
    "locale C, HOME that is no directory": {"LC_ALL": "C", "HOME": os.devnull},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / FOLDER
    made.mkdir()
    rows = [f"{size},{label}" for size in range(10) for label in CLASSES]
    (made / "table λ.csv").write_text("\n".join(["size,label", *rows]), encoding="utf-8")
    return made


def run(folder: Path, environment: dict[str, str | None], *command: str, closed: bool = False) -> str:
    """Run ``python`` with some arguments in a folder and return what it writes; it must end with code 0."""
    changes = dict(environment)
    custom = folder.parent / "custom"
    custom.mkdir(exist_ok=True)
    (custom / "sitecustomize.py").write_text(changes.pop("sitecustomize", None) or "", encoding="utf-8")
    changes |= {"PYTHONPATH": str(custom)} | {name: None for name in os.environ if name.startswith("XDG_")}
    values = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
    words = [sys.executable, *command]
    if closed:
        words = ["sh", "-c", 'exec "$@" <&-', "sh", *words]
    done = subprocess.run(words, cwd=folder, env=values, capture_output=True, timeout=300)
    shown = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    assert done.returncode == 0, shown
    assert "Traceback" not in shown
    assert "Logging error" not in shown
    return shown


@pytest.mark.integration
@pytest.mark.parametrize("machine", MACHINES)
def test_a_sweep_its_report_and_an_evaluation(machine: str, folder: Path):
    environment, closed = MACHINES[machine], "stdin closed" in machine and os.name == "posix"
    run(folder, environment, "-m", "src.train", *SWEEP, *WORDS, closed=closed)
    assert len(results(folder)) == 4
    shown = run(folder, environment, "-m", "scripts.aggregate", "outputs/s", closed=closed)
    assert "4 completed runs, 2 conditions" in shown
    assert (folder / "outputs/s/report/report.html").is_file()
    [seed] = folder.glob("outputs/s/loss=ce*/seed=0")
    assert "different" not in run(folder, environment, "-m", "src.evaluate", f"run={seed}", closed=closed)


@pytest.mark.integration
def test_every_program_is_imported_without_posix(folder: Path):
    modules = (
        "src.train, src.evaluate, src.cli, src.experiments.runner, scripts.aggregate, scripts.plan.__main__, "
        "scripts.plan.calibration, scripts.benchmark.__main__, scripts.worked_examples.__main__, scripts.inspect"
    )
    program = f"import sys, {modules}; print('without', sys.modules['fcntl'], sys.modules['resource'])"
    no_kill = "signal.__dict__.pop('SIGKILL', None)"  # with which multiprocessing itself ends its workers on POSIX
    assert "without None None" in run(folder, {"sitecustomize": HIDDEN + no_kill}, "-c", program)


@pytest.mark.integration
def test_spawned_processes_write_what_forked_ones_write(folder: Path):
    found = []
    for method in ("fork", "spawn") if hasattr(os, "fork") else ("spawn", "spawn"):
        words = ["figures=none" if word == "study=s" else word for word in WORDS]
        command = ("-m", "src.train", "--multirun", "loss=ce,mse", *words, f"study={method}")
        run(folder, {"LOSSLAB_START_METHOD": method}, *command)
        seeds = sorted(folder.glob(f"outputs/{method}/*/seed=*/*.c[sk]*"))
        assert seeds
        found.append({(path.parents[1].name, path.parent.name, path.name): path.read_bytes() for path in seeds})
    assert found[0] == found[1]


def text_modes(tree: ast.AST):
    """Yield every call that opens a file as text and names no encoding."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or "encoding" in {keyword.arg for keyword in call.keywords}:
            continue
        function = ast.unparse(call.func)
        name = function.rpartition(".")[2]
        if name in ("read_text", "write_text", "fdopen", "TemporaryFile", "NamedTemporaryFile"):
            yield call
        elif name == "open" and function not in ("archive.open", "os.open", "webbrowser.open", "Image.open"):
            modes = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
            if not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes):
                yield call


@pytest.mark.parametrize("top", ["src", "scripts", "hydra_plugins"])
def test_text_is_opened_with_an_encoding(top: str):
    found = {
        f"{path.relative_to(ROOT)}:{call.lineno}": ast.unparse(call)
        for path in sorted(ROOT.joinpath(top).rglob("*.py"))
        for call in text_modes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {}
