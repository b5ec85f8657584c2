"""A sweep that takes seconds, and all that it leaves, times and host aside."""

import json
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

SWEEP = ("--multirun", "loss=ce,mse", "seed=range(4)", "study=s", "trainer.max_epochs=40", "figures=first")
TIMED = ("train.log", "multirun.yaml", "hydra.yaml")  # a line a launch; the words and the process of the last one


def start(folder, *words):
    """Start ``python -m src.train`` in a folder."""
    command = [sys.executable, "-m", "src.train", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(folder: Path) -> dict[str, object]:
    """Return the content of every file below a folder by its path, without times."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED and not path.name.endswith(".log") and ".new" not in str(path)
    }


def leftovers(folder: Path) -> list[Path]:
    """Return what is hidden in the conditions' folders, but for Hydra's configuration and the lock."""
    return [path for path in folder.glob("outputs/*/*/.*") if path.name not in (".hydra", ".lock")]


def _content(path: Path) -> object:
    if path.name == "results.json":
        content = json.loads(path.read_text())
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
