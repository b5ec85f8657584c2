"""Train all seeds of a condition as one batched model and leave a folder a seed.

python -m src.train loss=ce classes=4
python -m src.train --multirun loss=mse,ce classes=2,4 'seed=range(20)'
"""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.study import completed, resolve

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="train")
def main(config: DictConfig) -> None:
    """Train what is not done yet of one condition, show its table, and fail if a seed failed."""
    # torch and lightning take seconds to import, and --help and --cfg never come here
    from src.build import stack
    from src.condition import Condition, FailedSeedsError, train
    from src.console import show, stdout

    hydra_config = HydraConfig.get()
    settings = resolve(config)
    condition = Condition(
        folder=Path(hydra_config.runtime.output_dir),
        settings=settings,
        choices=dict(hydra_config.runtime.choices),
        overrides=list(hydra_config.overrides.task),
    )
    members = {condition.seed_folder(member): member for member in stack(settings)}
    done = completed(members, condition.fingerprint) if settings["resume"] else {}
    if done:
        log.info("%d of %d seeds are finished and kept; resume=false trains them again", len(done), len(members))
    new = train(condition, [member for folder, member in members.items() if folder not in done])
    results = [(done | new)[folder] for folder in members]
    show(stdout(), results, condition.folder)
    FailedSeedsError.check(results)


if __name__ == "__main__":
    main()
