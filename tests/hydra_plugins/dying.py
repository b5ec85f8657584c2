"""A callback of Hydra with which a worker dies in the middle of its work."""

import os
import signal
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class DieAfterOneSeed(Callback):
    """Kills the process of one job as it writes the files of its second seed."""

    def __init__(self, num: int) -> None:
        self.num = num

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        from src.experiments import write_run

        write_seed, written = write_run.write_seed, set[Path]()

        def write_once(folder: Path, *content: Any) -> None:
            if written:
                os.kill(os.getpid(), signal.SIGKILL)
            written.add(folder)
            write_seed(folder, *content)

        if config.hydra.job.num == self.num:
            write_run.write_seed = write_once
