"""A sweep that takes seconds, and all that it leaves, times and host aside."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing import reduction
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.storage.schema import seed_folders, written
from src.storage.stack_table import StackRun, runs_in_stacks
from tests.commands import CONSOLE, started

SWEEP = ("--multirun", "loss=ce,mse", "seed=range(4)", "study=s", "trainer.max_epochs=150", "figures=first")
# Two conditions that one worker trains as one stack.
JOINED = (SWEEP[0], "optimizer.lr=0.005,0.01", *SWEEP[2:], "hydra.launcher.workers=1")
STORAGES = [(*SWEEP, "storage=files"), (*SWEEP, "storage=table")]
TIMED = ("train.log", "multirun.yaml", "hydra.yaml")  # a line a launch; the words and the process of the last one


PRELOADED = [
    "src.train",
    "src.experiments.condition",
    "src.experiments.train_stack",
    "src.experiments.runner",
    "src.config.instantiate",
    "hydra_plugins",
]


@cache
def server():
    """Return the context of a process that has imported what each command needs, and forks the others."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def start(folder, *words):
    """Start ``python -m src.train`` in a folder, as a context that kills it in the end."""
    return started([sys.executable, "-m", "src.train", *words], folder)


class Forked:
    """The same in a process that begins with torch and the rest imported, which is most of what it does otherwise.

    It has as much of ``subprocess.Popen`` as the tests need.
    """

    def __init__(self, folder, *words):
        self.outputs = [
            tempfile.TemporaryFile("w+", encoding=CONSOLE, errors="replace")  # noqa: SIM115 - __exit__ closes them
            for _ in range(2)
        ]
        handles = [reduction.DupFd(file.fileno()) for file in self.outputs]
        self.process = server().Process(target=_command, args=(folder, words, handles))
        self.process.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        for file in self.outputs:
            file.close()

    @property
    def returncode(self):
        """The exit code, or minus the signal that ended it, or None while it runs."""
        return self.process.exitcode

    def poll(self):
        """Return the exit code, or None while it runs."""
        return self.process.exitcode

    def send_signal(self, sent):
        """Send it a signal."""
        os.kill(self.process.pid, sent)

    def communicate(self, timeout=None):
        """Wait for its end, or raise ``subprocess.TimeoutExpired``, and return what it wrote."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(self.process.name, timeout)
        texts = []
        for file in self.outputs:
            file.seek(0)
            texts.append(file.read())
        return tuple(texts)


def _command(folder, words, handles):
    """Run a command in this process, as if it was typed."""
    from src.train import main

    for number, handle in enumerate(handles, start=1):
        os.dup2(handle.detach(), number)
    os.chdir(folder)
    sys.argv = ["train.py", *words]
    main()


def contents(folder: Path) -> dict[str, object]:
    """Return the content of every file below a folder by its path, without times.

    What stacks hold has the paths that it would have in directories per seed, as launches divide seeds among stacks.
    """
    found = {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED and not path.name.endswith(".log") and ".new" not in str(path)
        if ".sweep" not in path.parts  # what was asked for, not what was made of it
        if not any(part.startswith("stack-") for part in path.parts)
    }
    for condition in {path.parent for path in folder.rglob("stack-*")}:
        for name, run in runs_in_stacks(condition).items():
            found |= {
                f"{(condition / name).relative_to(folder)}/{file}": content for file, content in _of_run(run).items()
            }
    return found


def _of_run(run: StackRun) -> dict[str, object]:
    """Return the content of every file that a stack holds of a run."""
    checkpoint = run.checkpoint()
    weights = checkpoint and {name: value.tolist() for name, value in checkpoint.pop("state_dict").items()}
    beside = {str(path.relative_to(run.beside)): _content(path) for path in run.beside.rglob("*") if path.is_file()}
    return {
        "results.json": {name: value for name, value in run.results().items() if name != "seconds"},
        "checkpoint.ckpt": [checkpoint, weights],
        **{name: run.text(name) for name in run.texts},
        **beside,
    }


def written_runs(folder: Path) -> dict[Path, float]:
    """Return when each finished run below a folder was written."""
    return {path: written(path) for study in folder.glob("outputs/*") for path in seed_folders(study)}


def leftovers(folder: Path) -> list[Path]:
    """Return what is hidden in the conditions' folders, but for Hydra's configuration and the lock."""
    return [path for path in folder.glob("outputs/*/*/.*") if path.name not in (".hydra", ".lock")]


def _content(path: Path) -> object:
    if path.name == "results.json":
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["seconds"]
        return content
    if "tfevents" in path.name:
        return [_timeless(event) for event in RawEventFileLoader(str(path)).Load()]
    return path.read_bytes()


def _timeless(serialized: bytes) -> bytes:
    """Return an event without its times; HParams has some inside."""
    event = Event.FromString(serialized)
    event.wall_time = 0
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "hparams":
            data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
            data.session_start_info.start_time_secs = data.session_end_info.end_time_secs = 0
            value.metadata.plugin_data.content = data.SerializeToString(deterministic=True)
    return event.SerializeToString(deterministic=True)
