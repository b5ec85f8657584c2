"""A callback of Hydra with which a worker dies in the middle of its work."""

import os
import signal
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tests.commands import wait_until


class DieAfterOneSeed(Callback):
    """Kills the process of one job as it writes the files of its second seed, once its first is stored."""

    def __init__(self, num: int) -> None:
        self.num = num

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        from src.experiments import write_run

        write_seed, written = write_run.write_seed, list[Any]()

        def write_once(files: Any, *content: Any) -> None:
            if written:
                wait_until(files.path.with_name(written[0]).exists)
                os.kill(os.getpid(), signal.SIGKILL)
            written.append(files.path.name.removeprefix(".").removesuffix(".new"))
            write_seed(files, *content)

        if config.hydra.job.num == self.num:
            write_run.write_seed = write_once
