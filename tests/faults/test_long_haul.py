"""2,000 seeds in one command: after the first stacks neither memory nor open files nor threads grow."""

import time
from pathlib import Path

import pytest

from tests.commands import SHORT, results
from tests.faults.studies import start

SEEDS, STACK = 2000, 100
LAST = 5  # stacks, of which one at least was looked at while nothing was open for a moment


def usage(process):
    """Return the memory in kB, the open files and the threads of a process."""
    proc = Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]), len(list((proc / "fd").iterdir())), int(status["Threads"])


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_files_and_threads_are_flat(tmp_path, count):
    words = (f"seed=range({SEEDS})", f"hydra.sweeper.stack_size={STACK}", "hydra/launcher=basic", "study=s")
    process = start(tmp_path, "--multirun", *words, "logger=none", *SHORT)
    samples = {}
    while process.poll() is None:
        stack = len(list(tmp_path.glob("outputs/s/*/seed=*"))) // STACK
        try:
            now = usage(process)
        except (FileNotFoundError, KeyError):  # it has just ended
            break
        before = samples.get(stack, now)
        # The most memory while a stack was in work; files and threads come and go, and what leaks stays.
        samples[stack] = max(now[0], before[0]), min(now[1], before[1]), min(now[2], before[2])
        time.sleep(0.05)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert len(results(tmp_path)) == SEEDS
    memory, handles, threads = zip(
        *(samples[stack] for stack in sorted(samples) if 1 <= stack < SEEDS // STACK), strict=True
    )
    print("kB", memory, "files", handles, "threads", threads)
    assert len(memory) >= SEEDS // STACK - 3
    assert max(memory) <= 1.05 * memory[0]
    assert min(handles[-LAST:]) <= handles[0]
    assert min(threads[-LAST:]) <= threads[0]
    count("seeds of one command in flat memory", SEEDS)
