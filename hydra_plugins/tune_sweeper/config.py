from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore

from hydra_plugins.stack_sweeper.config import StackSweeperConf


@dataclass
class TuneSweeperConf(StackSweeperConf):
    """Settings of ``hydra/sweeper=tune``, beside those of ``hydra/sweeper=stack``.

    Attributes:
        space: What is tuned for each condition, each with a sweep such as ``tag(log, interval(0.001, 0.1))``.
        seeds: The seeds that are tuned on, none of which is reported.
        n_trials: Trials per condition.
        n_jobs: Trials that run at the same time, proposed without the results of each other.
        sampler_seed: Seed of Optuna's sampler.
    """

    _target_: str = "hydra_plugins.tune_sweeper.tune_sweeper.TuneSweeper"
    space: dict[str, str] = field(default_factory=lambda: {"optimizer.lr": "tag(log, interval(0.0005, 0.05))"})
    seeds: str = "range(1000, 1005)"
    n_trials: int = 12
    n_jobs: int = 2
    sampler_seed: int = 0


ConfigStore.instance().store(group="hydra/sweeper", name="tune", node=TuneSweeperConf, provider="tune_sweeper")
