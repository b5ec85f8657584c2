import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf, open_dict

from hydra_plugins.stack_sweeper._seeds import stack_seeds
from hydra_plugins.stack_sweeper.stack_sweeper import StackSweeper, require_whole
from src.storage.atomic import replacing_file

log = logging.getLogger(__name__)

TUNED = "tuned"  # the setting that lists what was tuned
RECORD = "tuning.json"  # in the directory of the trials' study: the best trial of each condition


class TuneSweeper(StackSweeper):
    """Tunes every condition with Optuna, then runs each with its own settings and with the best ones found.

    The trials of a condition run on separate seeds and go to the study ``<study>-tuning``. They maximise what a job
    returns. The same command resumes: Optuna's sampler is seeded, and the jobs of finished trials return at once what
    they returned before, so that the search proposes the same trials again and goes on where it stopped. A stored
    Optuna study would not do that, as it does not hold the state of the sampler.

    Args:
        space: What is tuned: by name of the setting a sweep such as ``tag(log, interval(0.001, 0.1))``.
        seeds: The seeds that are tuned on, as a value or a sweep; none of them may be reported.
        n_trials: Trials per condition, at least 1.
        n_jobs: Trials that run at the same time, at least 1.
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

    def prepare(self, arguments: list[str]) -> None:
        """Compose and validate a trial and the reported job of every condition, without writing anything.

        Args:
            arguments: Overrides of the application, as typed.

        Raises:
            CompactHydraException: If a setting of the sweep is wrong.
            RefusedJobsError: If jobs cannot be composed, or their settings are wrong.
        """
        require_whole("n_trials", self.n_trials)
        require_whole("n_jobs", self.n_jobs)
        require_whole("sampler_seed", self.sampler_seed, min_value=0)
        if not self.space or any(name.count(".") != 1 for name in self.space):
            raise CompactHydraException(
                f"Expected `hydra.sweeper.space` to name settings of groups, such as optimizer.lr, got {self.space}."
            )
        try:
            from hydra_plugins.tune_sweeper._space import distributions, first_value  # Optuna is an optional extra
        except ImportError:
            raise CompactHydraException(
                "Expected `hydra/sweeper` to be one that is installed, got tune, which needs Optuna 4 or newer: "
                "pip install -e '.[tune]'"
            ) from None
        parser = self._parser()
        self._distributions = distributions(parser, self.space)
        trial = [f"{name}={first_value(distribution)}" for name, distribution in self._distributions.items()]
        [[[self._trial_seeds]]] = self.split_arguments(
            stack_seeds(parser.parse_overrides([f"seed={self.tuning_seeds}"])), None
        )
        self._conditions: dict[tuple[str, ...], list[str]] = {}
        for job in self._union(parser, arguments):
            seeds = [word for word in job if word.startswith("seed=")]
            self._check_disjoint(parser, seeds, self._trial_seeds)
            self._conditions[tuple(word for word in job if not word.startswith("seed="))] = seeds
        self._validate_all(
            [
                job
                for condition, reported in self._conditions.items()
                for job in ([*condition, *reported], [*condition, *trial, self._trial_seeds])
            ]
        )

    def run(self) -> list[Sequence[JobReturn]]:
        """Tune, then run every job, and return the results of the reported jobs, a sequence for each batch.

        Raises:
            CompactHydraException: If a condition had no successful trial.
            FailedJobsError: After the last job, if any failed.
        """
        tuned = [self._tune(list(condition), self._trial_seeds, self._distributions) for condition in self._conditions]
        self._reported = [
            [*condition, *found, *reported]
            for (condition, reported), best in zip(self._conditions.items(), tuned, strict=True)
            for found in ([], [*best, f"{TUNED}={'+'.join(self.space)}"])
        ]
        super().prepare([])
        return super().run()

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

    def _tune(self, condition: list[str], seeds: str, space: Mapping[str, Any]) -> list[str]:
        """Return the overrides of the best trial of one condition."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        search = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=self.sampler_seed))
        study = f"{self.config.study}-tuning"
        while len(search.trials) < self.n_trials:
            asked = min(self.n_jobs, self.n_trials - len(search.trials))
            trials = [search.ask(dict(space)) for _ in range(asked)]
            common = [f"study={study}", "figures=none", seeds]
            jobs = [[*condition, *_overrides(trial.params), *common] for trial in trials]
            results = self.launcher.launch(jobs, initial_job_idx=trials[0].number)
            for trial, result in zip(trials, results, strict=True):
                returned = result._return_value  # `return_value` would raise an error
                if result.status == JobStatus.COMPLETED and returned is not None and math.isfinite(returned):
                    search.tell(trial, returned)
                else:
                    search.tell(trial, state=optuna.trial.TrialState.FAIL)
                    log.warning("trial %d of %s failed: %s", trial.number, " ".join(condition), returned)
        name = " ".join(condition)
        if not search.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
            raise CompactHydraException(f"No trial of {name} succeeded.")
        best = search.best_trial
        log.info("%s: %s", name, best.params)
        self._record(study, name, {"params": best.params, "value": best.value, "trials": len(search.trials)})
        return _overrides(best.params)

    def _record(self, study: str, condition: str, best: dict[str, Any]) -> None:
        """Add the best trial of a condition to the record in the trials' study."""
        config = self.config.copy()
        OmegaConf.set_readonly(config, False)
        with open_dict(config):
            config.study = study
        path = Path(str(config.hydra.sweep.dir), RECORD)
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        with replacing_file(path) as scratch:
            scratch.write_text(json.dumps(known | {condition: best}, indent=2) + "\n", encoding="utf-8")


def _overrides(params: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in params.items()]
