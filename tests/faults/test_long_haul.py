"""500 seeds in one command, TensorBoard and figures included: neither memory nor open files nor threads grow."""

import time
from pathlib import Path

import pytest

from tests.commands import results
from tests.faults.studies import start

SEEDS, STACK = 500, 25
FEW = 5  # stacks, one of which at least was looked at at its worst and one when nothing was open


def usage(process):
    """Return the memory in kB, the open files and the threads of a process."""
    proc = Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]), len(list((proc / "fd").iterdir())), int(status["Threads"])


@pytest.mark.integration
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_files_and_threads_are_flat(tmp_path, count):
    words = (f"seed=range({SEEDS})", f"hydra.sweeper.stack_size={STACK}", "hydra/launcher=basic", "study=s")
    samples = {}
    with start(tmp_path, "--multirun", *words, "trainer.max_epochs=2", "data.samples_per_class=10") as process:
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
    assert max(memory[FEW:]) <= 1.05 * max(memory[:FEW])
    assert min(handles[-FEW:]) <= handles[0]
    assert min(threads[-FEW:]) <= threads[0]
    count("seeds of one command in flat memory", SEEDS)
