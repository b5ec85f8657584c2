import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hydra_plugins.stack_sweeper._seeds import stack_seeds
from hydra_plugins.stack_sweeper.stack_sweeper import StackSweeper, require_whole

log = logging.getLogger(__name__)

TUNED = "tuned"  # the setting that lists what was tuned
FOUND = "optimization_results.yaml"  # of Hydra's Optuna sweeper


class TuneSweeper(StackSweeper):
    """Tunes every condition by Hydra's Optuna sweeper, then runs each as it stands and with what was found.

    The trials of a condition run on seeds of their own and go to the study ``<study>-tuning``. What they maximise is
    what a job returns. Optuna's sampler is seeded and knows of nothing but this command's own trials: where finished
    jobs return what they returned, the same command goes the same way again, and so it can be resumed.

    Args:
        space: What is tuned, each with a sweep that Hydra's Optuna sweeper understands.
        seeds: The seeds that are tuned on, as a value or a sweep; none of them may be swept over.
        n_trials: Trials a condition, at least 1.
        n_jobs: Trials that run at once, at least 1.
        sampler_seed: Seed of the sampler.
        stack: Settings of ``StackSweeper``.
    """

    def __init__(
        self, space: dict[str, str], seeds: str, n_trials: int, n_jobs: int, sampler_seed: int, **stack: Any
    ) -> None:
        super().__init__(**stack)
        self.space = space
        self.tuning_seeds = seeds
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.sampler_seed = sampler_seed

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up, and keep what those of the trials need."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Tune, then run every job.

        Args:
            arguments: Overrides of the application, as typed.

        Returns:
            The results of the reported jobs, a sequence for each batch.

        Raises:
            CompactHydraException: If a setting is wrong, or a condition had no successful trial.
        """
        require_whole("n_trials", self.n_trials)
        require_whole("n_jobs", self.n_jobs)
        require_whole("sampler_seed", self.sampler_seed, least=0)
        if not self.space or any(name.count(".") != 1 for name in self.space):
            raise CompactHydraException(
                f"Expected `hydra.sweeper.space` to name settings of groups, such as optimizer.lr, got {self.space}."
            )
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        trial = self._first_trial(parser)
        [[[trial_seeds]]] = self.split_arguments(
            stack_seeds(parser.parse_overrides([f"seed={self.tuning_seeds}"])), None
        )
        conditions: dict[tuple[str, ...], list[str]] = {}
        for job in self._union(parser, arguments):
            seeds = [word for word in job if word.startswith("seed=")]
            self._check_disjoint(parser, seeds, trial_seeds)
            conditions[tuple(word for word in job if not word.startswith("seed="))] = seeds
        for condition, reported in conditions.items():
            for job in ([*condition, *reported], [*condition, *trial, trial_seeds]):
                self._validate(job, 0)
        tuned = [self._tune(list(condition), trial_seeds) for condition in conditions]
        self._reported = [
            [*condition, *found, *reported]
            for (condition, reported), best in zip(conditions.items(), tuned, strict=True)
            for found in ([], [*best, f"{TUNED}={'+'.join(self.space)}"])
        ]
        return super().sweep(arguments)

    def _first_trial(self, parser: OverridesParser) -> list[str]:
        """Return overrides that set what is tuned to a value of its space.

        Raises:
            CompactHydraException: If it has none to choose from.
        """
        words = []
        for name, sweep in self.space.items():
            override = parser.parse_override(f"{name}={sweep}")
            if not override.is_sweep_override():
                raise CompactHydraException(
                    f"Expected `hydra.sweeper.space` to give {name} a choice as 1,2 or interval(1, 2), got {sweep}."
                )
            value: Any = override.value()
            words.append(f"{name}={value.start if override.is_interval_sweep() else next(override.sweep_iterator())}")
        return words

    def _jobs(self, arguments: list[str]) -> list[list[str]]:
        return self._reported

    def _check_disjoint(self, parser: OverridesParser, reported: list[str], trial: str) -> None:
        given = parser.parse_overrides([*(reported or [f"seed={self.config.seed}"]), trial])
        values: list[Any] = [word.value() for word in given]
        first, second = (set(value if isinstance(value, list) else [value]) for value in values)
        if shared := first & second:
            raise CompactHydraException(
                f"Expected `hydra.sweeper.seeds` to be none of the reported seeds, got {sorted(shared)}."
            )

    def _tune(self, condition: list[str], seeds: str) -> list[str]:
        """Return the best overrides of one condition."""
        try:
            from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
            from optuna.samplers import TPESampler
        except ImportError:
            raise CompactHydraException("hydra/sweeper=tune needs the extra tune: pip install -e '.[tune]'") from None
        config = self.config.copy()
        with read_write(config), open_dict(config):
            config.study = f"{config.study}-tuning"
        sampler: Any = TPESampler(seed=self.sampler_seed)  # which Hydra makes of the SamplerConfig that is declared
        sweeper = OptunaSweeper(
            sampler=sampler, direction="maximize", storage=None, study_name=None,
            n_trials=self.n_trials, n_jobs=self.n_jobs, max_failure_rate=1.0, search_space=None,
            custom_search_space=None, params=OmegaConf.create(dict(self.space)),
        )  # fmt: skip
        sweeper.setup(hydra_context=self.hydra_context, task_function=self.task_function, config=config)
        folder = Path(str(config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            sweeper.sweep([*condition, f"study={config.study}", "figures=none", seeds])
        except ValueError as error:  # Optuna has no best trial
            raise CompactHydraException(f"No trial of {' '.join(condition)} succeeded: {error}") from None
        found = OmegaConf.load(folder / FOUND)
        log.info("%s: %s", " ".join(condition), found.best_params)
        return [f"{name}={value}" for name, value in found.best_params.items()]
