"""The backend ``losslab``: the classifier as ``src.train`` builds and fits it, Lightning's trainer included."""

from scripts.benchmark.backends.plain_lightning import PauseBetweenSegments
from scripts.benchmark.backends.work import Layers, Pause, Work
from src.config.instantiate import build_trainer
from src.training.single_thread import single_threaded


def train(work: Work, pause: Pause) -> Layers:
    """Train all networks together."""
    parts = work.parts
    trainer = build_trainer(work.settings, [PauseBetweenSegments(work, pause)])
    with single_threaded():
        trainer.fit(parts.classifier, datamodule=parts.datamodule)
    return work.layers
