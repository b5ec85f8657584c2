"""Fitting of all seeds of a stack."""

import signal
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from src.config.instantiate import Components, build_trainer
from src.models.base import ClosedForm
from src.training.history import Training, trainings, without_steps


def fit(components: Components, settings: dict[str, Any], callbacks: list[L.Callback]) -> list[Training]:
    """Fit every seed to its training samples: in closed form where the model has one, otherwise by gradient steps.

    Args:
        components: Data, objective and network of the seeds.
        settings: The resolved settings.
        callbacks: Lightning callbacks.

    Returns:
        The curves of each seed.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With code 143 where SIGTERM ends the training, by Lightning after the running epoch.
    """
    if isinstance(components.network, ClosedForm):
        components.datamodule.setup()
        problems = components.network.fit(components.datamodule.train.x, components.datamodule.train.target)
        return [without_steps(problem) for problem in problems]
    trainer = build_trainer(settings, callbacks)
    try:
        trainer.fit(components.classifier, datamodule=components.datamodule)
    except SIGTERMException:  # otherwise the program ends with code 0
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into code 1
            raise KeyboardInterrupt from None
        raise
    return trainings(components.classifier)
