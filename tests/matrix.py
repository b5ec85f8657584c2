"""The test suite on other machines, as far as one machine can stand for them: one row, one of their properties.

    python -m tests.matrix                                   # every row: what make test runs
    python -m tests.matrix --numeric                         # of it, what depends on how a machine computes
    python -m tests.matrix sigint home_unset                 # some rows
    python -m tests.matrix sigint+home_unset+locale_c        # a machine with several properties
    python -m tests.matrix spaces -- -x tests/test_train.py  # with arguments of pytest

Logs are left in build/matrix/.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build" / "matrix"
PARALLEL = ("-n", "2", "--dist", "worksteal")
COMPILERS = {"cc", "gcc", "clang", "c99", "c89", "tcc"}


@dataclass
class Machine:
    """The changes of a row.

    Attributes:
        environment: Variables to set, or to remove where they are None.
        root: Checkout to test.
        prepare: Called in the process of the tests before they start.
        arguments: Arguments of pytest.
    """

    environment: dict[str, str | None] = field(default_factory=dict)
    root: Path = ROOT
    prepare: Callable[[], object] | None = None
    arguments: tuple[str, ...] = PARALLEL


@dataclass(frozen=True)
class Outcome:
    """The result of the tests of a row."""

    code: int
    passed: int
    failed: int
    skipped: int
    seconds: float


def with_variables(**environment: str | None) -> Callable[[Path], Machine]:
    """Return a row that changes nothing but environment variables."""
    return lambda scratch: Machine(environment)


def plain_kernel(scratch: Path) -> Machine:
    """Compile the native kernel for any processor of this architecture, without AVX."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise LookupError("no C compiler, cc, on PATH")
    wrapper = scratch / "bin" / "cc"
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/sh\n"
        "for word do\n"
        "  shift\n"
        '  case "$word" in -march=native|-mcpu=native) ;; *) set -- "$@" "$word" ;; esac\n'
        "done\n"
        f'exec "{compiler}" "$@"\n'
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    return Machine({"PATH": path, "XDG_CACHE_HOME": str(scratch / "cache")})


def no_compiler(scratch: Path) -> Machine:
    """Hide the C compilers: the folders of PATH that hold one are replaced by links to all else in them."""
    folders = []
    for number, folder in enumerate(map(Path, os.environ["PATH"].split(os.pathsep))):
        found = {file.name: file for file in folder.iterdir()} if folder.is_dir() else {}
        if COMPILERS.isdisjoint(found):
            folders.append(folder)
            continue
        links = scratch / f"bin{number}"
        links.mkdir()
        for name in found.keys() - COMPILERS:
            (links / name).symlink_to(found[name])
        folders.append(links)
    return Machine({"PATH": os.pathsep.join(map(str, folders)), "XDG_CACHE_HOME": str(scratch / "cache")})


def sigint(scratch: Path) -> Machine:
    """Ignore Ctrl-C, as what a shell has started in the background does."""
    return Machine(prepare=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))


def stdin_closed(scratch: Path) -> Machine:
    """Close the standard input; pytest would open another one if it captured output or started workers."""
    return Machine(prepare=lambda: os.close(0), arguments=("-n", "0", "-s"))


def home_read_only(scratch: Path) -> Machine:
    """Set a home folder that cannot be written, not even by root."""
    home = scratch / "home"
    home.write_text("a file, in which no folder can be made")
    return Machine({"HOME": str(home), "XDG_CACHE_HOME": None})


def spaces(scratch: Path) -> Machine:
    """Test a copy of the checkout in a folder with blanks and letters that are not ASCII."""
    copy = scratch / "für uns" / "loss λ lab"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    return Machine(
        {"PYTHONPATH": str(copy)}, copy, arguments=(*PARALLEL, f"--basetemp={scratch / 'für uns' / 'temporary files'}")
    )


ROWS: dict[str, Callable[[Path], Machine]] = {
    "cpu_default": with_variables(ATEN_CPU_CAPABILITY="default"),
    "cpu_avx2": with_variables(ATEN_CPU_CAPABILITY="avx2"),
    "mkl_sse": with_variables(MKL_ENABLE_INSTRUCTIONS="SSE4_2"),
    "plain_kernel": plain_kernel,
    "no_compiler": no_compiler,
    "one_thread": with_variables(OMP_NUM_THREADS="1"),
    "sigint": sigint,
    "stdin_closed": stdin_closed,
    "home_unset": with_variables(HOME=None, XDG_CACHE_HOME=None),
    "home_read_only": home_read_only,
    "locale_c": with_variables(LC_ALL="C", LANG="C", LANGUAGE=None),
    "cp1252": with_variables(PYTHONIOENCODING="cp1252", PYTHONUTF8="0"),
    "odd_timezone": with_variables(TZ="<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"),
    "spaces": spaces,
}


def machine_of(name: str, scratch: Path) -> Machine:
    """Return the machine of a row, or of several rows joined by ``+``.

    Raises:
        LookupError: If this machine cannot stand for it, or two of the rows change the same thing.
    """
    whole = Machine()
    for row in name.split("+"):
        machine = ROWS[row](scratch)
        if whole.environment.keys() & machine.environment.keys() or (whole.prepare and machine.prepare):
            raise LookupError(f"{row} changes what a row before it changes")
        whole.environment |= machine.environment
        whole.prepare = whole.prepare or machine.prepare
        whole.root = machine.root if machine.root != ROOT else whole.root
        whole.arguments = machine.arguments if machine.arguments != PARALLEL else whole.arguments
    return whole


def run(name: str, arguments: list[str]) -> Outcome:
    """Run the tests of a row, or of rows joined by ``+``, log what they print, and return how they ended.

    Raises:
        LookupError: If this machine cannot stand for that of the row.
    """
    if platform.system() == "Windows":
        raise LookupError("the rows need POSIX")
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        scratch = Path(folder)
        machine = machine_of(name, scratch)
        environment = {key: value for key, value in os.environ.items() if key not in machine.environment}
        environment |= {key: value for key, value in machine.environment.items() if value is not None}
        report = scratch / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
        began = time.monotonic()
        with (LOGS / f"{name}.log").open("wb") as log:
            code = subprocess.run(
                [*command, *machine.arguments, *arguments],
                cwd=machine.root,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=machine.prepare,
                check=False,
            ).returncode
        passed, failed, skipped = _counts(report) if report.exists() else (0, 0, 0)
        return Outcome(code, passed, failed, skipped, time.monotonic() - began)


def _counts(report: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed and were skipped."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest has just written it
    tests = failed = skipped = 0
    for suite in suites:
        tests += int(suite.attrib["tests"])
        failed += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        skipped += int(suite.attrib["skipped"])
    return tests - failed - skipped, failed, skipped


def main(words: list[str]) -> int:
    """Run rows, print a line for each, and return 1 if one of them failed, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description="Run the tests on other machines.")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}, or some joined by +; otherwise all"
    )
    parser.add_argument("--numeric", action="store_true", help="only tests that depend on how a machine computes")
    split = words.index("--") if "--" in words else len(words)
    options, arguments = parser.parse_args(words[:split]), words[split + 1 :]
    if unknown := {row for name in options.rows for row in name.split("+")} - ROWS.keys():
        parser.error(f"expected rows of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
    if options.numeric:
        arguments = ["-m", "numeric and not integration", *arguments]
    failures = 0
    for name in options.rows or ROWS:
        try:
            outcome = run(name, arguments)
        except LookupError as error:
            print(f"{name:15} not run: {error}", flush=True)
            continue
        verdict = "ok" if outcome.code == 0 else f"code {outcome.code}, see {LOGS / name}.log"
        counts = f"{outcome.passed:5} passed {outcome.failed:4} failed {outcome.skipped:4} skipped"
        print(f"{name:15} {counts} {outcome.seconds:6.0f} s  {verdict}", flush=True)
        failures += outcome.code != 0
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
