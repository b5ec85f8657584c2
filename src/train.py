"""Train all seeds of a condition as one batched model and write one directory per seed.

python -m src.train loss=ce classes=4
python -m src.train --multirun loss=mse,ce classes=2,4 'seed=range(20)'
"""

import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from src.config.cli import run
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.storage.schema import ArtifactError
from src.utils.console import console_output, stdout
from src.utils.fast_imports import import_lightning

if TYPE_CHECKING:
    from src.experiments.condition import Condition


@contextmanager
def together(configs: Sequence[DictConfig]) -> Iterator[None]:
    """Train several jobs, given by their configurations with Hydra's own, as one stack where that is possible.

    In the body each job finds its seeds trained.
    """
    import_lightning()
    from src.experiments.joined import trained_together

    with trained_together([_condition(config, config.hydra) for config in configs]):
        yield


def trains_together(function: Callable[[DictConfig], float | None]) -> Callable[[DictConfig], float | None]:
    """Let launchers find ``together`` beside the function of a job."""
    vars(function)["together"] = together
    return function


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="train")
@trains_together
def job(config: DictConfig) -> float | None:
    """Train the unfinished seeds of one condition, print its table, and fail if a seed failed.

    Returns:
        The mean over the seeds of the metric that ``optimized_metric`` names, or None where a seed has no such metric.
    """
    # torch and lightning take seconds to import; --help and --cfg do not need them
    import_lightning()
    from src.experiments.joined import trained
    from src.experiments.runner import FailedSeedsError, run_condition
    from src.experiments.summary_table import show

    logging.raiseExceptions = False  # in workers too: a full disk is reported once, by the write that fails
    hydra_config = HydraConfig.get()
    part = hydra_config.sweeper.get("part")  # index of this job among those that share a condition
    condition = _condition(config, hydra_config)
    try:
        results = run_condition(condition, trained())
        if part is None:
            show(stdout(), results, condition.folder)
        FailedSeedsError.check(results)
        values = [
            result.metrics[config.optimized_metric] for result in results if config.optimized_metric in result.metrics
        ]
        return statistics.fmean(values) if len(values) == len(results) else None
    except (OSError, ArtifactError, FailedSeedsError) as error:
        return stop(error, condition.folder)


def _condition(config: DictConfig, hydra_config: Any) -> "Condition":
    """Return the condition of a job."""
    from src.experiments.condition import Condition

    return Condition(
        folder=Path(hydra_config.runtime.output_dir),
        config=resolve(config),
        choices=dict(hydra_config.runtime.choices),
        overrides=list(hydra_config.overrides.task),
        first_part=not hydra_config.sweeper.get("part"),
    )


def stop(error: Exception, folder: Path) -> NoReturn:
    """End the program, or in a sweep this job alone, with a message of one line."""
    if isinstance(error, OSError):
        why = f"Cannot write to {error.filename or folder} ({error.strerror or error})."
        error = CompactHydraException(f"{why} Finished seeds are kept; the same command trains the rest.")
    elif isinstance(error, ArtifactError):
        error = CompactHydraException(str(error))
    if HydraConfig.get().mode == RunMode.RUN:
        raise SystemExit(str(error))
    raise error


@console_output()
def main() -> None:
    """Run the command line."""
    run(job)


if __name__ == "__main__":
    main()
