"""Fitting of all seeds of a stack."""

import signal

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from src.data.datamodule import StackedDataModule
from src.models.base import ClosedForm
from src.training.history import Training, trainings, without_steps
from src.training.module import StackedClassifier


def fit(classifier: StackedClassifier, datamodule: StackedDataModule, trainer: L.Trainer) -> list[Training]:
    """Fit every seed to its training samples: in closed form where the model has one, otherwise by gradient steps.

    Args:
        classifier: Networks, objective and optimizer of the seeds.
        datamodule: Data of the seeds.
        trainer: Lightning's trainer; a model with a closed form does not use it.

    Returns:
        The curves of each seed.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With code 143 where SIGTERM ends the training, by Lightning after the running epoch.
    """
    if isinstance(classifier.network, ClosedForm):
        datamodule.setup()
        errors = classifier.network.fit(datamodule.train.x, datamodule.train.target)
        return [without_steps(error) for error in errors]
    try:
        trainer.fit(classifier, datamodule=datamodule)
    except SIGTERMException:  # otherwise the program ends with code 0
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into code 1
            raise KeyboardInterrupt from None
        raise
    return trainings(classifier.curves, classifier.ended)
